"""Compiled product of the stiffness of trilinear voxels with a field on their corners.

A voxel is a trilinear hexahedron of eight nodes with one tensor, integrated exactly. In the coordinates of its edges
the gradient of its field has a constant part and parts that grow along the other edges, given by sums and differences
of the corners, in which the stiffness is almost diagonal. These are shared between voxels side by side, so that a
product takes about 70 operations a voxel where the dense matrix of 8 x 8 takes 128. Nothing is assembled: the tensors
are a table of distinct materials that voxels point into.

Fields are single or double: all arrays of floats have one type. Slabs of node planes along the first axis are worked on
independently, each by one thread, so that results are the same at any number of threads.
"""

import numba
import numpy as np
import numpy.typing as npt

type Floats = npt.NDArray[np.floating]
type Materials = npt.NDArray[np.uint16]

TILE = 128  # voxels along the last axis worked on at once: their rows below stay in the first cache
ROW = TILE + 16
# Rows of one flat workspace at constant distances: so the compiler knows that they do not overlap, and vectorizes
(
    LOWER, UPPER, SUM, ALONG_Z, ALONG_X, TWIST, D_XX, D_YY, D_ZZ, D_YZ, D_XZ, D_XY,
    NEXT_SUM, NEXT_Z, NEXT_X, NEXT_TWIST, FORCE_SUM, FORCE_Z, FORCE_X, FORCE_TWIST,
) = range(8, 8 + 20 * ROW, ROW)  # fmt: skip
WORKSPACE = 16 + 20 * ROW

# Sums are vectorized, in an order that depends on nothing but the grid
compiled = numba.njit(cache=True, nogil=True, fastmath={"contract", "reassoc", "nsz"}, error_model="numpy")


@compiled
def multiply_slab(  # noqa: PLR0917
    first: int,
    last: int,
    field: Floats,
    above: Floats,
    material: Materials,
    table: Floats,
    gradient: Floats,
    product: Floats,
    remainder: Floats,
) -> float:
    """Stiffness times a field with a mean gradient, from the voxels between the node planes first to last.

    Args:
        first: Plane the slab begins with.
        last: Plane it ends with, which belongs to the next slab.
        field: Periodic part of the field on nodes, shape (X, Y, Z).
        above: The plane ``last`` of the field, shape (Y, Z).
        material: Row of the table of each voxel; voxel i is between nodes i and i + 1; shape (X, Y, Z).
        table: Tensors xx, yy, zz, yz, xz, xy in the coordinates of the edges, divided by 16, shape (M, 6).
        gradient: Four times the mean gradient along the edges, shape (3,).
        product: Planes first to last - 1 are set; shape (X, Y, Z).
        remainder: What the slab adds to plane ``last`` is set; shape (Y, Z).

    Returns:
        Twice the energy of these voxels, field times product for a field without mean gradient.
    """
    work = np.zeros(WORKSPACE, field.dtype)
    energy = 0.0
    product[first] = 0
    for i in range(first, last):
        inside = i + 1 < last
        plane = field[i + 1] if inside else above
        target = product[i + 1] if inside else remainder
        target[:] = 0
        energy += _multiply_layer(work, field[i], plane, material[i], table, gradient, product[i], target)
    return energy


@compiled
def turn_and_multiply_slab(  # noqa: PLR0917
    first: int,
    last: int,
    preconditioned: Floats,
    turn: float,
    direction: Floats,
    above: Floats,
    material: Materials,
    table: Floats,
    product: Floats,
    remainder: Floats,
) -> float:
    """The next direction of conjugate gradients, preconditioned + turn * direction in its place, and its product.

    The arguments are those of `multiply_slab`; ``above`` is of the next direction already.
    """
    work = np.zeros(WORKSPACE, direction.dtype)
    gradient = np.zeros(3, direction.dtype)
    factor = direction.dtype.type(turn)
    energy = 0.0
    _turn(preconditioned[first], factor, direction[first])
    product[first] = 0
    for i in range(first, last):
        inside = i + 1 < last
        if inside:
            _turn(preconditioned[i + 1], factor, direction[i + 1])
        plane = direction[i + 1] if inside else above
        target = product[i + 1] if inside else remainder
        target[:] = 0
        energy += _multiply_layer(work, direction[i], plane, material[i], table, gradient, product[i], target)
    return energy


@compiled
def _turn(preconditioned: Floats, factor: np.floating, direction: Floats) -> None:
    for j in range(direction.shape[0]):
        for k in range(direction.shape[1]):
            direction[j, k] = preconditioned[j, k] + factor * direction[j, k]


@compiled
def step_slab(  # noqa: PLR0917
    first: int,
    last: int,
    step: float,
    direction: Floats,
    product: Floats,
    remainder: Floats,
    correction: Floats,
    residual: Floats,
) -> float:
    """A step along a direction; ``remainder`` is what the slab before adds to the product's first plane.

    Returns:
        Sum of the squares of the residual in these planes.
    """
    factor = direction.dtype.type(step)
    square = 0.0
    for i in range(first, last):
        if i == first:
            product[i] += remainder
        for j in range(direction.shape[1]):
            partial = direction.dtype.type(0)
            for k in range(direction.shape[2]):
                correction[i, j, k] += factor * direction[i, j, k]
            for k in range(direction.shape[2]):
                left = residual[i, j, k] - factor * product[i, j, k]
                residual[i, j, k] = left
                partial += left * left
            square += float(partial)
    return square


@compiled
def take_correction(first: int, last: int, unit: float, correction: Floats, field: Floats) -> None:
    """Add a correction in some unit to a field and begin the next at zero, in some planes."""
    for i in range(first, last):
        for j in range(field.shape[1]):
            for k in range(field.shape[2]):
                field[i, j, k] += unit * correction[i, j, k]
                correction[i, j, k] = 0


@compiled
def set_residual(  # noqa: PLR0917
    first: int, last: int, unit: float, product: Floats, remainder: Floats, residual: Floats
) -> float:
    """Minus a product in some unit, in some planes; ``remainder`` is what the slab before adds to the first of them.

    Returns:
        Sum of the squares of the residual.
    """
    square = 0.0
    for i in range(first, last):
        if i == first:
            product[i] += remainder
        for j in range(product.shape[1]):
            for k in range(product.shape[2]):
                left = -product[i, j, k] / unit
                residual[i, j, k] = left
                square += left * left
    return square


@compiled
def _multiply_layer(  # noqa: PLR0917
    work: Floats,
    lower: Floats,
    upper: Floats,
    material: Materials,
    table: Floats,
    gradient: Floats,
    lower_product: Floats,
    upper_product: Floats,
) -> float:
    """One layer of voxels, row by row, in tiles of their length."""
    rows, length = lower.shape
    energy = 0.0
    for start in range(0, length, TILE):
        count = min(TILE, length - start)
        _load(work, lower[0], upper[0], start, count)
        _begin(work, count)
        for j in range(rows):
            following = j + 1 if j + 1 < rows else 0
            _load(work, lower[following], upper[following], start, count)
            _look_up(work, material[j], table, start, count)
            energy += _multiply_row(work, count, gradient)
            _scatter(work, lower_product[j], upper_product[j], start, count)
        _end(work, count)
        _scatter(work, lower_product[0], upper_product[0], start, count)
    return energy


@compiled
def _load(work: Floats, lower: Floats, upper: Floats, start: int, count: int) -> None:
    """A row of nodes in the planes below and above, one more than voxels."""
    for k in range(count):
        work[LOWER + k] = lower[start + k]
        work[UPPER + k] = upper[start + k]
    last = (start + count) % len(lower)
    work[LOWER + count] = lower[last]
    work[UPPER + count] = upper[last]


@compiled
def _look_up(work: Floats, material: Materials, table: Floats, start: int, count: int) -> None:
    for k in range(count):
        row = material[start + k]
        work[D_XX + k] = table[row, 0]
        work[D_YY + k] = table[row, 1]
        work[D_ZZ + k] = table[row, 2]
        work[D_YZ + k] = table[row, 3]
        work[D_XZ + k] = table[row, 4]
        work[D_XY + k] = table[row, 5]


@compiled
def _begin(work: Floats, count: int) -> None:
    """Sums and differences in x and z of the first row of nodes; nothing acts on it yet."""
    for k in range(count):
        bottom, top = work[LOWER + k] + work[UPPER + k], work[LOWER + k + 1] + work[UPPER + k + 1]
        left, right = work[UPPER + k] - work[LOWER + k], work[UPPER + k + 1] - work[LOWER + k + 1]
        work[SUM + k], work[ALONG_Z + k] = bottom + top, top - bottom
        work[ALONG_X + k], work[TWIST + k] = left + right, right - left
        work[NEXT_SUM + k] = work[NEXT_Z + k] = work[NEXT_X + k] = work[NEXT_TWIST + k] = 0


@compiled
def _multiply_row(work: Floats, count: int, gradient: Floats) -> float:
    """Forces of a row of voxels on the row of nodes behind it, complete then, and on the next.

    With the mean gradient g and its amplitudes b_xy (in x, of what grows along y, and the other way round), b_yz, b_xz,
    and t (of what grows along two), the mean of gradient times flux is
    g.D.g + ((D_xx + D_yy) b_xy^2 + ... + 2 D_xy b_xz b_yz + ...) / 3 + (D_xx + D_yy + D_zz) t^2 / 9.
    """
    third, three = work.dtype.type(1 / 3), work.dtype.type(3)
    mean_x, mean_y, mean_z = gradient[0], gradient[1], gradient[2]
    energy = work.dtype.type(0)
    for k in range(count):
        bottom, top = work[LOWER + k] + work[UPPER + k], work[LOWER + k + 1] + work[UPPER + k + 1]
        left, right = work[UPPER + k] - work[LOWER + k], work[UPPER + k + 1] - work[LOWER + k + 1]
        total, along_z, along_x, twist = bottom + top, top - bottom, left + right, right - left
        g_x = along_x + work[ALONG_X + k] + mean_x
        g_y = total - work[SUM + k] + mean_y
        g_z = along_z + work[ALONG_Z + k] + mean_z
        b_xy = (along_x - work[ALONG_X + k]) * third
        b_yz = (along_z - work[ALONG_Z + k]) * third
        b_xz = (twist + work[TWIST + k]) * third
        t = (twist - work[TWIST + k]) * third
        work[SUM + k], work[ALONG_Z + k], work[ALONG_X + k], work[TWIST + k] = total, along_z, along_x, twist
        xx, yy, zz = work[D_XX + k], work[D_YY + k], work[D_ZZ + k]
        yz, xz, xy = work[D_YZ + k], work[D_XZ + k], work[D_XY + k]
        f_x = xx * g_x + xy * g_y + xz * g_z
        f_y = xy * g_x + yy * g_y + yz * g_z
        f_z = xz * g_x + yz * g_y + zz * g_z
        h_xy = (xx + yy) * b_xy + xz * b_yz + yz * b_xz
        h_yz = (yy + zz) * b_yz + xz * b_xy + xy * b_xz
        h_xz = (xx + zz) * b_xz + xy * b_yz + yz * b_xy
        h_t = (xx + yy + zz) * (t * third)
        energy += f_x * g_x + f_y * g_y + f_z * g_z + three * (h_xy * b_xy + h_yz * b_yz + h_xz * b_xz + h_t * t)
        work[FORCE_SUM + k] = work[NEXT_SUM + k] - f_y
        work[FORCE_Z + k] = work[NEXT_Z + k] + f_z - h_yz
        work[FORCE_X + k] = work[NEXT_X + k] + f_x - h_xy
        work[FORCE_TWIST + k] = work[NEXT_TWIST + k] + h_xz - h_t
        work[NEXT_SUM + k], work[NEXT_Z + k] = f_y, f_z + h_yz
        work[NEXT_X + k], work[NEXT_TWIST + k] = f_x + h_xy, h_xz + h_t
    return float(energy)


@compiled
def _end(work: Floats, count: int) -> None:
    """What the last row of voxels adds to the first row of nodes."""
    for k in range(count):
        work[FORCE_SUM + k], work[FORCE_Z + k] = work[NEXT_SUM + k], work[NEXT_Z + k]
        work[FORCE_X + k], work[FORCE_TWIST + k] = work[NEXT_X + k], work[NEXT_TWIST + k]


@compiled
def _scatter(work: Floats, lower: Floats, upper: Floats, start: int, count: int) -> None:
    """Add the forces on a row of nodes in the planes below and above."""
    for row in (FORCE_SUM, FORCE_Z, FORCE_X, FORCE_TWIST):
        work[row - 1] = work[row + count] = 0
    for k in range(count):
        even = work[FORCE_SUM + k] - work[FORCE_Z + k] + (work[FORCE_SUM + k - 1] + work[FORCE_Z + k - 1])
        odd = work[FORCE_X + k] - work[FORCE_TWIST + k] + (work[FORCE_X + k - 1] + work[FORCE_TWIST + k - 1])
        lower[start + k] += even - odd
        upper[start + k] += even + odd
    last = (start + count) % len(lower)
    even = work[FORCE_SUM + count - 1] + work[FORCE_Z + count - 1]
    odd = work[FORCE_X + count - 1] + work[FORCE_TWIST + count - 1]
    lower[last] += even - odd
    upper[last] += even + odd
