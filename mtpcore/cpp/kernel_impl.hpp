// Body of every kernel variant. Included by kernel_<isa>.cpp with MTPCORE_LANES (doubles per vector) and
// MTPCORE_ISA (namespace) defined and compiled for that instruction set.
//
// Lanes are neighbours where neighbours are summed (radial functions, basic moments, forces) and central atoms where
// the contraction program runs; a transposing sum leads from one to the other. Monomials of the unit vectors come
// from a recurrence and are shared by all radial functions; forces come from the same recurrence run backwards, so no
// Jacobian is stored. The same templates run on plain numbers (T = V) and on dual numbers (T = Dual), which carry a
// directional derivative along for the gradient of a training loss.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#if defined(__AVX2__) || defined(__AVX512F__)
#include <immintrin.h>
#endif

#include "kernel.hpp"

namespace mtpcore {
namespace MTPCORE_ISA {

constexpr int W = MTPCORE_LANES;
typedef double V __attribute__((vector_size(W * sizeof(double))));

inline V splat(double x) { return x - V{}; }
inline V load(const double* p) { return *reinterpret_cast<const V*>(p); }
inline void store(double* p, V v) { *reinterpret_cast<V*>(p) = v; }

inline V square_root(V a) {
#if defined(__AVX512F__)
  return reinterpret_cast<V>(_mm512_sqrt_pd(reinterpret_cast<__m512d>(a)));
#elif defined(__AVX2__)
  return reinterpret_cast<V>(_mm256_sqrt_pd(reinterpret_cast<__m256d>(a)));
#else
  V r;
  for (int i = 0; i < W; ++i) r[i] = std::sqrt(a[i]);
  return r;
#endif
}

inline V minimum(V a, V b) { return a < b ? a : b; }

inline double horizontal_sum(V a) {
  double sum = 0;
  for (int i = 0; i < W; ++i) sum += a[i];
  return sum;
}

// Value and derivative along one direction.
struct Dual {
  V v, d;
};
inline Dual operator*(Dual a, Dual b) { return {a.v * b.v, a.v * b.d + a.d * b.v}; }
inline Dual operator*(Dual a, V b) { return {a.v * b, a.d * b}; }
inline void add_product(V& sum, V a, V b) { sum += a * b; }
inline void add_product(Dual& sum, Dual a, Dual b) {
  sum.v += a.v * b.v;
  sum.d += a.v * b.d + a.d * b.v;
}
inline void add_product(Dual& sum, Dual a, V b) {
  sum.v += a.v * b;
  sum.d += a.d * b;
}
template <class T>
T constant(double x);
template <>
inline V constant<V>(double x) {
  return splat(x);
}
template <>
inline Dual constant<Dual>(double x) {
  return {splat(x), V{}};
}
inline V lane(const V& a, int i) { return splat(reinterpret_cast<const double*>(&a)[i]); }
inline Dual lane(const Dual& a, int i) { return {lane(a.v, i), lane(a.d, i)}; }

// sum over lanes of r[0..W-1], lane k of the result belonging to r[k].
inline V transposed_sum(const V* r, size_t stride) {
  const auto at = [&](int k) { return r[static_cast<size_t>(k) * stride]; };
#if defined(__GNUC__) && !defined(__clang__)
  typedef long long M __attribute__((vector_size(W * sizeof(double))));
#if MTPCORE_LANES == 8
  const auto pair = [](V a, V b) {
    return __builtin_shuffle(a, b, (M){0, 8, 2, 10, 4, 12, 6, 14}) +
           __builtin_shuffle(a, b, (M){1, 9, 3, 11, 5, 13, 7, 15});
  };
  const auto quad = [](V a, V b) {
    return __builtin_shuffle(a, b, (M){0, 1, 8, 9, 4, 5, 12, 13}) +
           __builtin_shuffle(a, b, (M){2, 3, 10, 11, 6, 7, 14, 15});
  };
  const V low = quad(pair(at(0), at(1)), pair(at(2), at(3)));
  const V high = quad(pair(at(4), at(5)), pair(at(6), at(7)));
  return __builtin_shuffle(low, high, (M){0, 1, 2, 3, 8, 9, 10, 11}) +
         __builtin_shuffle(low, high, (M){4, 5, 6, 7, 12, 13, 14, 15});
#elif MTPCORE_LANES == 4
  const auto pair = [](V a, V b) {
    return __builtin_shuffle(a, b, (M){0, 4, 2, 6}) + __builtin_shuffle(a, b, (M){1, 5, 3, 7});
  };
  const V low = pair(at(0), at(1)), high = pair(at(2), at(3));
  return __builtin_shuffle(low, high, (M){0, 1, 4, 5}) + __builtin_shuffle(low, high, (M){2, 3, 6, 7});
#else
  return __builtin_shuffle(at(0), at(1), (M){0, 2}) + __builtin_shuffle(at(0), at(1), (M){1, 3});
#endif
#else
  V sum{};
  for (int k = 0; k < W; ++k) sum[k] = horizontal_sum(at(k));
  return sum;
#endif
}

// Radial coefficients for a vector of neighbour species: one permutation while the species fit a vector.
struct SpeciesSelector {
#if defined(__AVX512F__)
  __m512i index;
  explicit SpeciesSelector(const int* type)
      : index(_mm512_cvtepi32_epi64(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(type)))) {}
  template <bool Fits>
  V pick(const double* table) const {
    if constexpr (Fits) return reinterpret_cast<V>(_mm512_permutexvar_pd(index, _mm512_load_pd(table)));
    return reinterpret_cast<V>(_mm512_i64gather_pd(index, table, 8));
  }
#elif defined(__AVX2__)
  __m256i index, halves;
  explicit SpeciesSelector(const int* type)
      : index(_mm256_cvtepi32_epi64(_mm_loadu_si128(reinterpret_cast<const __m128i*>(type)))) {
    const __m256i twice = _mm256_add_epi64(index, index);
    halves = _mm256_or_si256(twice, _mm256_slli_epi64(_mm256_add_epi64(twice, _mm256_set1_epi64x(1)), 32));
  }
  template <bool Fits>
  V pick(const double* table) const {
    if constexpr (Fits)
      return reinterpret_cast<V>(_mm256_permutevar8x32_ps(_mm256_castpd_ps(_mm256_load_pd(table)), halves));
    return reinterpret_cast<V>(_mm256_i64gather_pd(table, index, 8));
  }
#else
  const int* index;
  explicit SpeciesSelector(const int* type) : index(type) {}
  template <bool Fits>
  V pick(const double* table) const {
    V value;
    for (int i = 0; i < W; ++i) value[i] = table[index[i]];
    return value;
  }
#endif
};

inline int monomial_count(int degree) { return (degree + 1) * (degree + 2) / 2; }

// Carves typed arrays out of one thread's scratch memory.
class Carver {
 public:
  explicit Carver(double* memory = nullptr) : next_(memory) {}
  template <class T>
  T* take(size_t count) {
    static_assert(sizeof(T) % sizeof(V) == 0 || sizeof(T) == sizeof(double));
    T* piece = reinterpret_cast<T*>(next_ + used_);
    used_ += (count * sizeof(T) / sizeof(double) + 7) / 8 * 8;
    return piece;
  }
  size_t used() const { return used_; }

 private:
  double* next_;
  size_t used_ = 0;
};

// Arrays of one batch of W central atoms. "Group" is a vector of neighbours.
template <class T>
struct Batch {
  int groups;  // capacity per atom
  V *ux, *uy, *uz, *inverse_r;   // [atom][group]
  T* unit;                       // [atom][group][3]: only for T = Dual
  T* f;                          // [atom][group][mu]
  V* df;                         // [atom][group][mu]: df/dr
  T* basis;                      // [atom][group][k]: only when rows are wanted
  V* radial_sums;                // [radial parameter], lanes still neighbours: only for T = Dual
  T* partial;                    // [atom][basic]: sums over groups, lanes still neighbours
  T* moment;                     // [moment]
  T* adjoint;                    // [moment]: dE/d(moment)
  T* monomial;                   // [monomial][2]
  T* monomial_adjoint;           // [monomial][2]

  void carve(Carver& memory, const Model& m, int groups_, bool rows) {
    groups = groups_;
    const size_t slots = static_cast<size_t>(W) * groups;
    int monomials = 0;
    for (int degree = 0; degree <= m.max_degree; ++degree) monomials += monomial_count(degree);
    ux = memory.take<V>(slots);
    uy = memory.take<V>(slots);
    uz = memory.take<V>(slots);
    inverse_r = memory.take<V>(slots);
    unit = std::is_same_v<T, Dual> ? memory.take<T>(slots * 3) : nullptr;
    f = memory.take<T>(slots * m.radial_funcs);
    df = memory.take<V>(slots * m.radial_funcs);
    basis = rows ? memory.take<T>(slots * m.radial_size) : nullptr;
    radial_sums = std::is_same_v<T, Dual> ? memory.take<V>(m.radial_count()) : nullptr;
    partial = memory.take<T>(static_cast<size_t>(W) * m.basic_count);
    moment = memory.take<T>(m.moment_count);
    adjoint = memory.take<T>(m.moment_count);
    monomial = memory.take<T>(static_cast<size_t>(monomials) * 2);
    monomial_adjoint = memory.take<T>(static_cast<size_t>(monomials) * 2);
  }
};

// ------------------------------------------------------------------ radial part

// Size, below, is the number of radial polynomials where it is known when compiling: then all of them stay in registers.

// Chebyshev values and derivatives with the smooth cutoff: T_k(s) scaling (max_dist - r)^2.
template <int Size = 0>
inline void radial_basis(const Model& m, V r, V* value, V* derivative) {
  const int size = Size ? Size : m.radial_size;
  const double width = m.max_dist - m.min_dist;
  const V s = (2.0 * r - (m.min_dist + m.max_dist)) / width;
  const V slope = splat(2.0 / width);
  const V gap = m.max_dist - r;
  const V cut = m.scaling * gap * gap, dcut = -2.0 * m.scaling * gap;
  V t0 = splat(1.0), t1 = s, d0 = V{}, d1 = slope;
  value[0] = cut;
  derivative[0] = dcut;
  for (int k = 1; k < size; ++k) {
    value[k] = t1 * cut;
    derivative[k] = d1 * cut + t1 * dcut;
    const V t2 = 2.0 * s * t1 - t0, d2 = 2.0 * (slope * t1 + s * d1) - d0;
    t0 = t1;
    t1 = t2;
    d0 = d1;
    d1 = d2;
  }
}

template <bool Fits, int Size>
void radial_functions(const Model& m, const double* table, const SpeciesSelector& species, const V* q, const V* dq,
                      V* f, V* df) {
  const int size = Size ? Size : m.radial_size;
  for (int mu = 0; mu < m.radial_funcs; ++mu) {
    V value{}, slope{};
    for (int k = 0; k < size; ++k, table += m.species_stride) {
      const V c = species.pick<Fits>(table);
      value += c * q[k];
      slope += c * dq[k];
    }
    f[mu] = value;
    df[mu] = slope;
  }
}

struct Velocities {
  const double *vx, *vy, *vz;
};

inline void place(V* f, V* unit, V* basis, const Model& m, const V* value, const V*, const V* q, const V*, V ux, V uy,
                  V uz, V, const Velocities*, size_t) {
  (void)unit, (void)ux, (void)uy, (void)uz;
  for (int mu = 0; mu < m.radial_funcs; ++mu) f[mu] = value[mu];
  if (basis)
    for (int k = 0; k < m.radial_size; ++k) basis[k] = q[k];
}

// r changes at rate u.v, the unit vector at rate (v - u (u.v)) / r.
inline void place(Dual* f, Dual* unit, Dual* basis, const Model& m, const V* value, const V* slope, const V* q,
                  const V* dq, V ux, V uy, V uz, V inverse_r, const Velocities* velocity, size_t at) {
  const V vx = load(velocity->vx + at), vy = load(velocity->vy + at), vz = load(velocity->vz + at);
  const V rate = ux * vx + uy * vy + uz * vz;
  unit[0] = {ux, (vx - ux * rate) * inverse_r};
  unit[1] = {uy, (vy - uy * rate) * inverse_r};
  unit[2] = {uz, (vz - uz * rate) * inverse_r};
  for (int mu = 0; mu < m.radial_funcs; ++mu) f[mu] = {value[mu], slope[mu] * rate};
  for (int k = 0; k < m.radial_size; ++k) basis[k] = {q[k], dq[k] * rate};
}

template <class T, bool Fits, int Size>
void radial_part(const Model& m, const Neighborhoods& in, int atom, int a, Batch<T>& b, const Velocities* velocity) {
  V q[Size ? Size : kMaxRadialSize], dq[Size ? Size : kMaxRadialSize], f[kMaxRadialFuncs];
  const int groups = (in.count[atom] + W - 1) / W;
  for (int g = 0; g < groups; ++g) {
    const size_t at = static_cast<size_t>(in.start[atom]) + static_cast<size_t>(g) * W;
    const size_t slot = static_cast<size_t>(a) * b.groups + g;
    const V x = load(in.dx + at), y = load(in.dy + at), z = load(in.dz + at);
    const V r = square_root(x * x + y * y + z * z);
    const V inverse = 1.0 / r;
    radial_basis<Size>(m, minimum(r, splat(m.max_dist)), q, dq);
    radial_functions<Fits, Size>(m, m.lookup(in.center_type[atom]), SpeciesSelector(in.type + at), q, dq, f,
                           b.df + slot * m.radial_funcs);
    b.ux[slot] = x * inverse;
    b.uy[slot] = y * inverse;
    b.uz[slot] = z * inverse;
    b.inverse_r[slot] = inverse;
    place(b.f + slot * m.radial_funcs, b.unit ? b.unit + slot * 3 : nullptr,
          b.basis ? b.basis + slot * m.radial_size : nullptr, m, f,
          b.df + slot * m.radial_funcs, q, dq, b.ux[slot], b.uy[slot], b.uz[slot], inverse, velocity, at);
  }
}

// ------------------------------------------------------------------ basic moments

template <class T, int NG>
struct GroupView {
  T unit[3][NG];
  const T* f[NG];
};

inline void unit_vector(const Batch<V>& b, size_t slot, V* u) {
  u[0] = b.ux[slot];
  u[1] = b.uy[slot];
  u[2] = b.uz[slot];
}
inline void unit_vector(const Batch<Dual>& b, size_t slot, Dual* u) {
  for (int d = 0; d < 3; ++d) u[d] = b.unit[slot * 3 + d];
}

template <class T, int NG>
GroupView<T, NG> view(const Model& m, const Batch<T>& b, int a, int g) {
  GroupView<T, NG> groups;
  for (int i = 0; i < NG; ++i) {
    const size_t slot = static_cast<size_t>(a) * b.groups + g + i;
    T u[3];
    unit_vector(b, slot, u);
    for (int d = 0; d < 3; ++d) groups.unit[d][i] = u[d];
    groups.f[i] = b.f + slot * m.radial_funcs;
  }
  return groups;
}

template <class T, int NG, int R>
inline void accumulate(const T* monomial, const T (&f)[R][NG], T* partial) {
  for (int mu = 0; mu < R; ++mu) {
    T sum = partial[mu];
    for (int i = 0; i < NG; ++i) add_product(sum, f[mu][i], monomial[i]);
    partial[mu] = sum;
  }
}

// Monomials child = parent * u for `count` of them, and their share of the basic moments.
template <class T, int NG, int R>
inline void forward_block(const T* parent, T* child, int count, const T* u, const T (&f)[R][NG], T* partial) {
  for (int n = 0; n < count; ++n) {
    T value[NG];
    for (int i = 0; i < NG; ++i) child[n * NG + i] = value[i] = parent[n * NG + i] * u[i];
    accumulate<T, NG, R>(value, f, partial + n * R);
  }
}

template <class T, int NG, int R>
void forward_degree(int degree, const T* parent, T* child, const GroupView<T, NG>& groups, T* partial) {
  T f[R][NG];
  for (int mu = 0; mu < R; ++mu)
    for (int i = 0; i < NG; ++i) f[mu][i] = groups.f[i][mu];
  if (degree == 0) {
    for (int i = 0; i < NG; ++i) child[i] = constant<T>(1.0);
    accumulate<T, NG, R>(child, f, partial);
    return;
  }
  const int first = monomial_count(degree - 1);
  forward_block<T, NG, R>(parent, child, first, groups.unit[0], f, partial);
  forward_block<T, NG, R>(parent + (first - degree) * NG, child + first * NG, degree, groups.unit[1], f,
                          partial + first * R);
  forward_block<T, NG, R>(parent + (first - 1) * NG, child + (first + degree) * NG, 1, groups.unit[2], f,
                          partial + (first + degree) * R);
}

// Monomials alone.
template <class T, int NG>
void forward_degree_bare(int degree, const T* parent, T* child, const GroupView<T, NG>& groups) {
  if (degree == 0) {
    for (int i = 0; i < NG; ++i) child[i] = constant<T>(1.0);
    return;
  }
  const int first = monomial_count(degree - 1);
  const int begin[4] = {0, first, first + degree, first + degree + 1}, from[3] = {0, first - degree, first - 1};
  for (int d = 0; d < 3; ++d)
    for (int n = begin[d]; n < begin[d + 1]; ++n)
      for (int i = 0; i < NG; ++i)
        child[n * NG + i] = parent[(n - begin[d] + from[d]) * NG + i] * groups.unit[d][i];
}

// Calls body(R as a constant) with R = the number of radial functions of a degree.
template <class F>
inline void with_radial_count(int count, F&& body) {
  switch (count) {
    case 0: return body(std::integral_constant<int, 0>{});
    case 1: return body(std::integral_constant<int, 1>{});
    case 2: return body(std::integral_constant<int, 2>{});
    case 3: return body(std::integral_constant<int, 3>{});
    case 4: return body(std::integral_constant<int, 4>{});
    case 5: return body(std::integral_constant<int, 5>{});
    case 6: return body(std::integral_constant<int, 6>{});
    case 7: return body(std::integral_constant<int, 7>{});
    default: return body(std::integral_constant<int, 8>{});
  }
}

template <class T, int NG>
void forward_groups(const Model& m, Batch<T>& b, int a, int g) {
  const GroupView<T, NG> groups = view<T, NG>(m, b, a, g);
  T* partial = b.partial + static_cast<size_t>(a) * m.basic_count;
  T *child = b.monomial, *parent = b.monomial;
  for (int degree = 0; degree <= m.max_degree; ++degree) {
    with_radial_count(m.degree_radial[degree], [&](auto radial) {
      constexpr int R = decltype(radial)::value;
      if constexpr (R > 0)
        forward_degree<T, NG, R>(degree, parent, child, groups, partial + m.degree_basic[degree]);
      else
        forward_degree_bare<T, NG>(degree, parent, child, groups);
    });
    parent = child;
    child += monomial_count(degree) * NG;
  }
}

inline void store_moment(V* partial, size_t stride, V* moment) { *moment = transposed_sum(partial, stride); }
inline void store_moment(Dual* partial, size_t stride, Dual* moment) {
  moment->v = transposed_sum(&partial->v, stride * 2);
  moment->d = transposed_sum(&partial->d, stride * 2);
}

template <class T>
void basic_moments(const Model& m, const Neighborhoods& in, int first, int atoms, Batch<T>& b) {
  std::memset(static_cast<void*>(b.partial), 0, sizeof(T) * static_cast<size_t>(W) * m.basic_count);
  for (int a = 0; a < atoms; ++a) {
    const int groups = (in.count[first + a] + W - 1) / W;
    int g = 0;
    for (; g + 2 <= groups; g += 2) forward_groups<T, 2>(m, b, a, g);
    if (g < groups) forward_groups<T, 1>(m, b, a, g);
  }
  for (int i = 0; i < m.basic_count; ++i) store_moment(b.partial + i, m.basic_count, b.moment + i);
}

// ------------------------------------------------------------------ contraction program

template <class T>
void run_program(const Program& program, T* moment) {
  const Product* products = program.products.data();
  for (size_t t = 0; t < program.target.size(); ++t) {
    T sum = constant<T>(0.0);
    for (int i = program.begin[t]; i < program.begin[t + 1]; ++i)
      add_product(sum, moment[products[i].left] * moment[products[i].right], splat(products[i].multiplicity));
    moment[program.target[t]] = sum;
  }
}

template <class T>
void run_program_backwards(const Program& program, const T* moment, T* adjoint) {
  const Product* products = program.products.data();
  for (size_t t = program.target.size(); t-- > 0;) {
    const T seed = adjoint[program.target[t]];
    for (int i = program.begin[t]; i < program.begin[t + 1]; ++i) {
      const Product p = products[i];
      const T scaled = seed * splat(p.multiplicity);
      add_product(adjoint[p.left], scaled, moment[p.right]);
      add_product(adjoint[p.right], scaled, moment[p.left]);
    }
  }
}

// Energy of the leaves and its adjoints in one pass.
inline V run_leaves(const LeafProgram& leaves, const V* moment, V* adjoint) {
  V energy{};
  for (size_t t = 0; t < leaves.left.size(); ++t) {
    const int left = leaves.left[t];
    const V factor = moment[left];
    V sum{};
    for (int i = leaves.begin[t]; i < leaves.begin[t + 1]; ++i) {
      const V weight = splat(leaves.weight[i]);
      const int right = leaves.right[i];
      sum += weight * moment[right];
      adjoint[right] += weight * factor;
    }
    adjoint[left] += sum;
    energy += factor * sum;
  }
  return energy;
}

template <class T>
void seed_adjoints(const Model& m, T* adjoint) {
  for (int i = 0; i < m.moment_count; ++i) adjoint[i] = constant<T>(m.moment_energy[i]);
}

// Moments, adjoints and site energies of a batch.
inline V contract(const Model& m, Batch<V>& b) {
  run_program(m.inner, b.moment);
  const int inner_end = m.basic_count + static_cast<int>(m.inner.target.size());
  V energy{};
  for (int i = 0; i < inner_end; ++i) {
    b.adjoint[i] = splat(m.moment_energy[i]);
    energy += b.adjoint[i] * b.moment[i];
  }
  energy += run_leaves(m.leaf_energy, b.moment, b.adjoint);
  run_program_backwards(m.inner, b.moment, b.adjoint);
  return energy;
}

// The same with every scalar's own value, for rows and gradients.
template <class T>
void contract_all(const Model& m, Batch<T>& b) {
  run_program(m.inner, b.moment);
  run_program(m.leaf, b.moment);
  seed_adjoints(m, b.adjoint);
  run_program_backwards(m.leaf, b.moment, b.adjoint);
  run_program_backwards(m.inner, b.moment, b.adjoint);
}

// ------------------------------------------------------------------ backwards to the neighbours

// Adjoints of f and, with Forces, of the unit vectors, for NG groups of one atom.
template <class T, int NG>
struct Pullback {
  T f[kMaxRadialFuncs][NG];
  T unit[3][NG];
};

template <class T, int NG, int R, bool Forces, bool Assign>
inline void backward_block(const T* parent, const T* child, T* parent_adjoint, const T* child_adjoint, bool has_children,
                           int count, const T* u, T* u_adjoint, const T (&f)[R ? R : 1][NG], T (&df)[R ? R : 1][NG],
                           const T* adjoint, int a) {
  T gather[NG];
  for (int i = 0; i < NG; ++i) gather[i] = u_adjoint[i];
  for (int n = 0; n < count; ++n) {
    T g[NG];
    for (int i = 0; i < NG; ++i) g[i] = Forces && has_children ? child_adjoint[n * NG + i] : constant<T>(0.0);
    for (int mu = 0; mu < R; ++mu) {
      const T seed = lane(adjoint[n * R + mu], a);
      for (int i = 0; i < NG; ++i) {
        if constexpr (Forces) add_product(g[i], seed, f[mu][i]);
        add_product(df[mu][i], seed, child[n * NG + i]);
      }
    }
    if constexpr (Forces)
      for (int i = 0; i < NG; ++i) {
        add_product(gather[i], g[i], parent[n * NG + i]);
        if constexpr (Assign)
          parent_adjoint[n * NG + i] = g[i] * u[i];
        else
          add_product(parent_adjoint[n * NG + i], g[i], u[i]);
      }
  }
  for (int i = 0; i < NG; ++i) u_adjoint[i] = gather[i];
}

template <class T, int NG, int R, bool Forces>
void backward_degree(int degree, bool has_children, const T* parent, const T* child, T* parent_adjoint,
                     const T* child_adjoint, const GroupView<T, NG>& groups, Pullback<T, NG>& out, const T* adjoint,
                     int a) {
  T f[R ? R : 1][NG], df[R ? R : 1][NG];
  for (int mu = 0; mu < R; ++mu)
    for (int i = 0; i < NG; ++i) {
      f[mu][i] = groups.f[i][mu];
      df[mu][i] = out.f[mu][i];
    }
  if (degree == 0) {  // the monomial is 1: no dependence on direction
    for (int mu = 0; mu < R; ++mu)
      for (int i = 0; i < NG; ++i) add_product(df[mu][i], lane(adjoint[mu], a), child[i]);
  } else {
    const int first = monomial_count(degree - 1);
    const int begin[3] = {0, first, first + degree}, from[3] = {0, first - degree, first - 1};
    backward_block<T, NG, R, Forces, true>(parent, child, parent_adjoint, child_adjoint, has_children, first,
                                           groups.unit[0], out.unit[0], f, df, adjoint, a);
    for (int d = 1; d < 3; ++d)
      backward_block<T, NG, R, Forces, false>(
          parent + from[d] * NG, child + begin[d] * NG, parent_adjoint + from[d] * NG,
          child_adjoint + begin[d] * NG, has_children, d == 1 ? degree : 1, groups.unit[d], out.unit[d], f, df,
          adjoint + begin[d] * R, a);
  }
  for (int mu = 0; mu < R; ++mu)
    for (int i = 0; i < NG; ++i) out.f[mu][i] = df[mu][i];
}

template <class T, int NG>
void raise_monomials(const Model& m, const GroupView<T, NG>& groups, T* monomial) {
  T *parent = monomial, *child = monomial;
  for (int degree = 0; degree <= m.max_degree; ++degree) {
    forward_degree_bare<T, NG>(degree, parent, child, groups);
    parent = child;
    child += monomial_count(degree) * NG;
  }
}

template <class T, int NG, bool Forces>
void backward_groups(const Model& m, Batch<T>& b, int a, const GroupView<T, NG>& groups, Pullback<T, NG>& out) {
  raise_monomials<T, NG>(m, groups, b.monomial);
  std::memset(static_cast<void*>(&out), 0, sizeof out);
  int offset = 0;
  for (int degree = 0; degree < m.max_degree; ++degree) offset += monomial_count(degree);
  for (int degree = m.max_degree; degree >= 0; --degree) {
    const int parent = degree > 0 ? offset - monomial_count(degree - 1) : 0;
    with_radial_count(m.degree_radial[degree], [&](auto radial) {
      constexpr int R = decltype(radial)::value;
      backward_degree<T, NG, R, Forces>(degree, degree < m.max_degree, b.monomial + parent * NG,
                                        b.monomial + offset * NG, b.monomial_adjoint + parent * NG,
                                        b.monomial_adjoint + offset * NG, groups, out,
                                        b.adjoint + m.degree_basic[degree], a);
    });
    offset = parent;
  }
}

// sums[neighbour species][mu][k] += weighted derivative with respect to that radial coefficient, one neighbour a turn.
template <int Size>
inline void add_radial_sized(const Model& m, const int* type, const V* f, int stride, const V* basis, double* sums) {
  const int size = Size ? Size : m.radial_size, functions = m.radial_funcs;
  for (int n = 0; n < W; ++n) {
    double q[Size ? Size : kMaxRadialSize];
    for (int k = 0; k < size; ++k) q[k] = basis[k][n];
    double* row = sums + type[n] * functions * size;
    for (int mu = 0; mu < functions; ++mu, row += size) {
      const double seed = f[mu * stride][n];
      for (int k = 0; k < size; ++k) row[k] += seed * q[k];
    }
  }
}
inline void add_radial(const Model& m, const int* type, const V* f, int stride, const V* basis, double* sums) {
  if (m.radial_size == 8)
    add_radial_sized<8>(m, type, f, stride, basis, sums);
  else
    add_radial_sized<0>(m, type, f, stride, basis, sums);
}
// The same for dual numbers. Lanes stay neighbours until all atoms are through: a vector is then summed once for many.
template <int Size>
inline void add_radial_lanes(const Model& m, const Dual* f, int stride, const Dual* basis, double weight, V mine,
                             V* sums) {
  const int size = Size ? Size : m.radial_size;
  for (int mu = 0; mu < m.radial_funcs; ++mu, sums += size) {
    const V value = f[mu * stride].v * mine, seed = value * weight + f[mu * stride].d * mine;
    for (int k = 0; k < size; ++k) sums[k] += seed * basis[k].v + value * basis[k].d;
  }
}

// One neighbour species a turn; few turns where neighbours are sorted by species.
inline void add_radial(const Model& m, const int* type, const Dual* f, int stride, const Dual* basis, double weight,
                       V* sums) {
  for (int begin = 0; begin < W;) {
    int end = begin;
    V mine{};
    while (end < W && type[end] == type[begin]) mine[end++] = 1.0;
    V* row = sums + type[begin] * m.radial_funcs * m.radial_size;
    if (m.radial_size == 8)
      add_radial_lanes<8>(m, f, stride, basis, weight, mine, row);
    else
      add_radial_lanes<0>(m, f, stride, basis, weight, mine, row);
    begin = end;
  }
}

// dE/d(displacement) = u dE/dr + (dE/du - u (u.dE/du)) / r.
template <int NG>
void force_groups(const Model& m, const Neighborhoods& in, int atom, int a, int g, Batch<V>& b, double* gx, double* gy,
                  double* gz, double* row) {
  const GroupView<V, NG> groups = view<V, NG>(m, b, a, g);
  Pullback<V, NG> out;
  backward_groups<V, NG, true>(m, b, a, groups, out);
  for (int i = 0; i < NG; ++i) {
    const size_t slot = static_cast<size_t>(a) * b.groups + g + i;
    const size_t at = static_cast<size_t>(in.start[atom]) + static_cast<size_t>(g + i) * W;
    V radial{};
    for (int mu = 0; mu < m.radial_funcs; ++mu) radial += out.f[mu][i] * b.df[slot * m.radial_funcs + mu];
    const V ux = b.ux[slot], uy = b.uy[slot], uz = b.uz[slot], inverse = b.inverse_r[slot];
    const V along = ux * out.unit[0][i] + uy * out.unit[1][i] + uz * out.unit[2][i];
    const V scale = radial - along * inverse;
    store(gx + at, ux * scale + out.unit[0][i] * inverse);
    store(gy + at, uy * scale + out.unit[1][i] * inverse);
    store(gz + at, uz * scale + out.unit[2][i] * inverse);
    if (row) add_radial(m, in.type + at, &out.f[0][i], NG, b.basis + slot * m.radial_size, row);
  }
}

template <int NG>
void gradient_groups(const Model& m, const Neighborhoods& in, int atom, int a, int g, Batch<Dual>& b, double weight) {
  const GroupView<Dual, NG> groups = view<Dual, NG>(m, b, a, g);
  Pullback<Dual, NG> out;
  backward_groups<Dual, NG, false>(m, b, a, groups, out);
  for (int i = 0; i < NG; ++i) {
    const size_t slot = static_cast<size_t>(a) * b.groups + g + i;
    add_radial(m, in.type + in.start[atom] + (g + i) * W, &out.f[0][i], NG, b.basis + slot * m.radial_size, weight,
               b.radial_sums + in.center_type[atom] * m.row_block());
  }
}

// ------------------------------------------------------------------ Jacobian of the gradient

// Tangents of all moments along NT vectors of directions at once. A direction moves one neighbour along one axis, so a
// basic moment's tangent is that neighbour's own term; the contraction program then runs on tangents alone.
template <int NT>
void run_program_tangent(const Program& program, const double* moment, V* tangent) {
  const Product* products = program.products.data();
  for (size_t t = 0; t < program.target.size(); ++t) {
    V sum[NT] = {};
    for (int i = program.begin[t]; i < program.begin[t + 1]; ++i) {
      const Product p = products[i];
      const V left = splat(p.multiplicity * moment[p.left]), right = splat(p.multiplicity * moment[p.right]);
      for (int v = 0; v < NT; ++v) sum[v] += left * tangent[p.right * NT + v] + right * tangent[p.left * NT + v];
    }
    for (int v = 0; v < NT; ++v) tangent[program.target[t] * NT + v] = sum[v];
  }
}

template <int NT>
void run_program_tangent_backwards(const Program& program, const double* moment, const double* adjoint,
                                   const V* tangent, V* adjoint_tangent) {
  const Product* products = program.products.data();
  for (size_t t = program.target.size(); t-- > 0;) {
    const int target = program.target[t];
    V seed[NT];
    for (int v = 0; v < NT; ++v) seed[v] = adjoint_tangent[target * NT + v];
    for (int i = program.begin[t]; i < program.begin[t + 1]; ++i) {
      const Product p = products[i];
      const V left = splat(p.multiplicity * moment[p.left]), right = splat(p.multiplicity * moment[p.right]);
      const V weight = splat(p.multiplicity * adjoint[target]);
      for (int v = 0; v < NT; ++v)
        adjoint_tangent[p.left * NT + v] += seed[v] * right + weight * tangent[p.right * NT + v];
      for (int v = 0; v < NT; ++v)
        adjoint_tangent[p.right * NT + v] += seed[v] * left + weight * tangent[p.left * NT + v];
    }
  }
}

constexpr int kTangents = 4;  // vectors of directions carried through the program together

// What the Jacobian of one atom needs besides its batch: scalars of the atom and the moments of its radial basis.
struct JacobianScratch {
  double *moment, *adjoint;  // [moment] of this atom
  double* species_basis;     // [monomial][species * k]: sum over neighbours of the species of monomial * basis
  Dual* monomial;            // [monomial][kTangents]
  V *tangent, *adjoint_tangent;
  V *basis, *basis_slope;  // [group][k] of this atom's neighbours
  double* row;     // d(site energy)/d(parameters)
  double* values;  // [row][3][slots]

  void carve(Carver& memory, const Model& m, int groups) {
    int monomials = 0;
    for (int degree = 0; degree <= m.max_degree; ++degree) monomials += monomial_count(degree);
    moment = memory.take<double>(m.moment_count);
    adjoint = memory.take<double>(m.moment_count);
    species_basis = memory.take<double>(static_cast<size_t>(monomials) * m.species_count * m.radial_size);
    monomial = memory.take<Dual>(static_cast<size_t>(monomials) * kTangents);
    tangent = memory.take<V>(static_cast<size_t>(m.moment_count) * kTangents);
    adjoint_tangent = memory.take<V>(static_cast<size_t>(m.moment_count) * kTangents);
    basis = memory.take<V>(static_cast<size_t>(groups) * m.radial_size);
    basis_slope = memory.take<V>(static_cast<size_t>(groups) * m.radial_size);
    row = memory.take<double>(static_cast<size_t>(m.row_size()));
    values = memory.take<double>(static_cast<size_t>(m.row_size()) * 3 * (groups * W + kPad));
  }
};

// Adds the products of W neighbours' monomials and radial polynomials, [monomial][species][k].
template <int Size>
inline void add_species_basis(const Model& m, const int* type, int monomials, const V* monomial, const V* q,
                              double* sums) {
  const int size = Size ? Size : m.radial_size, width = m.species_count * size;
  for (int n = 0; n < W; ++n) {
    double near[Size ? Size : kMaxRadialSize];
    for (int k = 0; k < size; ++k) near[k] = q[k][n];
    double* row = sums + type[n] * size;
    for (int i = 0; i < monomials; ++i, row += width) {
      const double value = monomial[i][n];
      for (int k = 0; k < size; ++k) row[k] += value * near[k];
    }
  }
}

// Radial basis of the atom's neighbours and, per species, its moments.
inline void species_basis_moments(const Model& m, const Neighborhoods& in, int atom, int a, Batch<V>& b,
                                  JacobianScratch& s) {
  const int width = m.species_count * m.radial_size, groups = (in.count[atom] + W - 1) / W;
  int monomials = 0;
  for (int degree = 0; degree <= m.max_degree; ++degree) monomials += monomial_count(degree);
  std::fill(s.species_basis, s.species_basis + static_cast<size_t>(monomials) * width, 0.0);
  for (int g = 0; g < groups; ++g) {
    const size_t slot = static_cast<size_t>(a) * b.groups + g;
    V* q = s.basis + static_cast<size_t>(g) * m.radial_size;
    const V r = minimum(1.0 / b.inverse_r[slot], splat(m.max_dist));
    radial_basis(m, r, q, s.basis_slope + static_cast<size_t>(g) * m.radial_size);
    const GroupView<V, 1> view_one = view<V, 1>(m, b, a, g);
    raise_monomials<V, 1>(m, view_one, b.monomial);
    const int* type = in.type + in.start[atom] + g * W;
    if (m.radial_size == 8)
      add_species_basis<8>(m, type, monomials, b.monomial, q, s.species_basis);
    else
      add_species_basis<0>(m, type, monomials, b.monomial, q, s.species_basis);
  }
}

// The groups one pass of tangents covers: NT consecutive (component, group) pairs of one atom.
struct TangentGroups {
  int component[kTangents], group[kTangents];
  int count;
};

// Unit vectors and radial functions as dual numbers along the axis of each group.
inline GroupView<Dual, kTangents> tangent_view(const Model& m, Batch<V>& b, int a, const TangentGroups& part,
                                               Dual (*f)[kMaxRadialFuncs]) {
  GroupView<Dual, kTangents> groups;
  for (int v = 0; v < kTangents; ++v) {
    const size_t slot = static_cast<size_t>(a) * b.groups + part.group[v];
    const V u[3] = {b.ux[slot], b.uy[slot], b.uz[slot]};
    const V rate = u[part.component[v]];
    for (int d = 0; d < 3; ++d) {
      const double same = d == part.component[v] ? 1.0 : 0.0;
      groups.unit[d][v] = {u[d], (same - u[d] * rate) * b.inverse_r[slot]};
    }
    for (int mu = 0; mu < m.radial_funcs; ++mu)
      f[v][mu] = {b.f[slot * m.radial_funcs + mu], b.df[slot * m.radial_funcs + mu] * rate};
    groups.f[v] = f[v];
  }
  return groups;
}

// Tangents of the basic moments, and A_mu = sum over basics of adjoint * monomial as dual numbers.
inline void basic_tangents(const Model& m, const GroupView<Dual, kTangents>& groups, JacobianScratch& s,
                           Dual (*pull)[kTangents]) {
  raise_monomials<Dual, kTangents>(m, groups, s.monomial);
  for (int mu = 0; mu < m.radial_funcs; ++mu)
    for (int v = 0; v < kTangents; ++v) pull[mu][v] = constant<Dual>(0.0);
  int monomial = 0;
  for (int degree = 0; degree <= m.max_degree; ++degree) {
    const int radial = m.degree_radial[degree];
    for (int i = 0; i < monomial_count(degree); ++i, ++monomial)
      for (int mu = 0; mu < radial; ++mu) {
        const int basic = m.degree_basic[degree] + i * radial + mu;
        const V seed = splat(s.adjoint[basic]);
        for (int v = 0; v < kTangents; ++v) {
          const Dual value = s.monomial[monomial * kTangents + v];
          s.tangent[basic * kTangents + v] = (groups.f[v][mu] * value).d;
          add_product(pull[mu][v], value, seed);
        }
      }
  }
}

// Derivative with respect to the radial coefficients through the adjoints' tangents.
inline void radial_tangents(const Model& m, const JacobianScratch& s, const TangentGroups& part, int slots) {
  const int width = m.species_count * m.radial_size;
  for (int mu = 0; mu < m.radial_funcs; ++mu)
    for (int column = 0; column < width; ++column) {
      V sum[kTangents] = {};
      int monomial = 0;
      for (int degree = 0; degree <= m.max_degree; ++degree) {
        const int radial = m.degree_radial[degree], count = monomial_count(degree);
        if (mu < radial)
          for (int i = 0; i < count; ++i) {
            const V weight = splat(s.species_basis[static_cast<size_t>(monomial + i) * width + column]);
            const V* tangent = s.adjoint_tangent + (m.degree_basic[degree] + i * radial + mu) * kTangents;
            for (int v = 0; v < kTangents; ++v) sum[v] += weight * tangent[v];
          }
        monomial += count;
      }
      const int species = column / m.radial_size, k = column % m.radial_size;
      const int row = (species * m.radial_funcs + mu) * m.radial_size + k;
      for (int v = 0; v < part.count; ++v)
        store(s.values + (static_cast<size_t>(row) * 3 + part.component[v]) * slots + part.group[v] * W, sum[v]);
    }
}

// ... and through the moved neighbour's own radial basis.
inline void own_radial_terms(const Model& m, const JacobianScratch& s, const Batch<V>& b, int a, const int* type,
                             const TangentGroups& part, const Dual (*pull)[kTangents], int slots) {
  for (int v = 0; v < part.count; ++v) {
    const int g = part.group[v];
    const size_t slot = static_cast<size_t>(a) * b.groups + g;
    const V u[3] = {b.ux[slot], b.uy[slot], b.uz[slot]};
    for (int k = 0; k < m.radial_size; ++k) {
      const V q = s.basis[g * m.radial_size + k];
      const V dq = s.basis_slope[g * m.radial_size + k] * u[part.component[v]];
      for (int mu = 0; mu < m.radial_funcs; ++mu) {
        const V term = pull[mu][v].d * q + pull[mu][v].v * dq;
        for (int n = 0; n < W; ++n) {
          const int row = (type[g * W + n] * m.radial_funcs + mu) * m.radial_size + k;
          s.values[(static_cast<size_t>(row) * 3 + part.component[v]) * slots + g * W + n] += term[n];
        }
      }
    }
  }
}

// Derivatives with respect to the radial coefficients, from the tangents of the moments.
inline void radial_jacobian(const Model& m, const Batch<V>& b, int a, const int* type, const TangentGroups& part,
                            const Dual (*pull)[kTangents], JacobianScratch& s, int slots) {
  std::fill(s.adjoint_tangent, s.adjoint_tangent + static_cast<size_t>(m.moment_count) * kTangents, V{});
  run_program_tangent_backwards<kTangents>(m.leaf, s.moment, s.adjoint, s.tangent, s.adjoint_tangent);
  run_program_tangent_backwards<kTangents>(m.inner, s.moment, s.adjoint, s.tangent, s.adjoint_tangent);
  radial_tangents(m, s, part, slots);
  own_radial_terms(m, s, b, a, type, part, pull, slots);
}

// d(site energy)/d(radial coefficients of the centre's species).
inline void radial_row(const Model& m, const JacobianScratch& s, double* row) {
  const int width = m.species_count * m.radial_size;
  std::fill(row, row + m.row_block(), 0.0);
  int monomial = 0;
  for (int degree = 0; degree <= m.max_degree; ++degree) {
    const int radial = m.degree_radial[degree];
    for (int i = 0; i < monomial_count(degree); ++i, ++monomial)
      for (int mu = 0; mu < radial; ++mu) {
        const double seed = s.adjoint[m.degree_basic[degree] + i * radial + mu];
        const double* basis = s.species_basis + static_cast<size_t>(monomial) * width;
        for (int species = 0; species < m.species_count; ++species)
          for (int k = 0; k < m.radial_size; ++k)
            row[(species * m.radial_funcs + mu) * m.radial_size + k] += seed * basis[species * m.radial_size + k];
      }
  }
}

inline void atom_jacobian(const Model& m, const Neighborhoods& in, int atom, int a, Batch<V>& b, bool scalars_only,
                          JacobianScratch& s, int slots) {
  const int groups = (in.count[atom] + W - 1) / W;
  for (int i = 0; i < m.moment_count; ++i) {
    s.moment[i] = b.moment[i][a];
    s.adjoint[i] = b.adjoint[i][a];
  }
  const int first_scalar = scalars_only ? 0 : m.row_block();
  std::fill(s.values, s.values + static_cast<size_t>(first_scalar + m.scalar_count) * 3 * slots, 0.0);
  if (!scalars_only) {
    species_basis_moments(m, in, atom, a, b, s);
    radial_row(m, s, s.row);
  }
  for (int scalar = 0; scalar < m.scalar_count; ++scalar) s.row[first_scalar + scalar] = s.moment[m.scalar_moment[scalar]];
  const int* type = in.type + in.start[atom];
  for (int first = 0; first < 3 * groups; first += kTangents) {
    TangentGroups part;
    part.count = std::min(kTangents, 3 * groups - first);
    for (int v = 0; v < kTangents; ++v) {
      const int index = std::min(first + v, 3 * groups - 1);  // the last one repeats in an incomplete pass
      part.component[v] = index / groups;
      part.group[v] = index % groups;
    }
    Dual f[kTangents][kMaxRadialFuncs], pull[kMaxRadialFuncs][kTangents];
    const GroupView<Dual, kTangents> view = tangent_view(m, b, a, part, f);
    basic_tangents(m, view, s, pull);
    run_program_tangent<kTangents>(m.inner, s.moment, s.tangent);
    run_program_tangent<kTangents>(m.leaf, s.moment, s.tangent);
    if (!scalars_only) radial_jacobian(m, b, a, type, part, pull, s, slots);
    for (int scalar = 0; scalar < m.scalar_count; ++scalar)
      for (int v = 0; v < part.count; ++v)
        store(s.values + (static_cast<size_t>(first_scalar + scalar) * 3 + part.component[v]) * slots + part.group[v] * W,
              s.tangent[m.scalar_moment[scalar] * kTangents + v]);
  }
}

// Calls body(group count as a constant, first group) for all groups of an atom, two at a time.
template <class F>
inline void for_groups(int count, F&& body) {
  const int groups = (count + W - 1) / W;
  int g = 0;
  for (; g + 2 <= groups; g += 2) body(std::integral_constant<int, 2>{}, g);
  if (g < groups) body(std::integral_constant<int, 1>{}, g);
}

// ------------------------------------------------------------------ the kernel

class KernelImpl final : public Kernel {
 public:
  void energy_gradient(const Model& m, Workspace& workspace, const Neighborhoods& in, double* site_energy, double* gx,
                       double* gy, double* gz, double* rows) const override {
    Batch<V> b = prepare<V>(m, workspace, in, rows != nullptr);
    if (rows) std::fill(rows, rows + static_cast<size_t>(in.atom_count) * m.row_size(), 0.0);
    for (int first = 0; first < in.atom_count; first += W) {
      const int atoms = std::min(W, in.atom_count - first);
      moments(m, in, first, atoms, b, nullptr);
      const V energy = contract(m, b);
      if (rows) run_program(m.leaf, b.moment);
      for (int a = 0; a < atoms; ++a) {
        const int atom = first + a;
        site_energy[atom] = energy[a] + m.species_energy[in.center_type[atom]];
        double* row = rows ? rows + static_cast<size_t>(atom) * m.row_size() : nullptr;
        for_groups(in.count[atom], [&](auto groups, int g) {
          force_groups<decltype(groups)::value>(m, in, atom, a, g, b, gx, gy, gz, row);
        });
        for (int s = 0; rows && s < m.scalar_count; ++s) row[m.row_block() + s] = b.moment[m.scalar_moment[s]][a];
      }
    }
  }

  void directional_gradient(const Model& m, Workspace& workspace, const Neighborhoods& in, const double* weight,
                            const double* vx, const double* vy, const double* vz, double* gradient) const override {
    Batch<Dual> b = prepare<Dual>(m, workspace, in, true);
    const Velocities velocity{vx, vy, vz};
    std::fill(b.radial_sums, b.radial_sums + m.radial_count(), V{});
    for (int first = 0; first < in.atom_count; first += W) {
      const int atoms = std::min(W, in.atom_count - first);
      moments(m, in, first, atoms, b, &velocity);
      contract_all(m, b);
      V weights{};
      for (int a = 0; a < atoms; ++a) weights[a] = weight[first + a];
      double* scalars = gradient + m.radial_count() + m.species_count;
      for (int s = 0; s < m.scalar_count; ++s) {
        const Dual value = b.moment[m.scalar_moment[s]];
        scalars[s] += horizontal_sum(value.v * weights + value.d);
      }
      for (int a = 0; a < atoms; ++a) {
        const int atom = first + a, center = in.center_type[atom];
        gradient[m.radial_count() + center] += weight[atom];
        for_groups(in.count[atom], [&](auto groups, int g) {
          gradient_groups<decltype(groups)::value>(m, in, atom, a, g, b, weight[atom]);
        });
      }
    }
    add_sums(b.radial_sums, m.radial_count(), gradient);
  }

  void gradient_jacobian(const Model& m, Workspace& workspace, Workspace& scratch, const Neighborhoods& in,
                         bool scalars_only,
                         const std::function<void(int, const double*, const double*)>& receive) const override {
    Batch<V> b = prepare<V>(m, workspace, in, false);
    JacobianScratch s;
    Carver measure;
    s.carve(measure, m, b.groups);
    Carver memory(scratch.reserve(measure.used()));
    s.carve(memory, m, b.groups);
    for (int first = 0; first < in.atom_count; first += W) {
      const int atoms = std::min(W, in.atom_count - first);
      moments(m, in, first, atoms, b, nullptr);
      contract_all(m, b);
      for (int a = 0; a < atoms; ++a) {
        const int atom = first + a, slots = (in.count[atom] + kPad - 1) / kPad * kPad;
        atom_jacobian(m, in, atom, a, b, scalars_only, s, slots);
        receive(atom, s.row, s.values);
      }
    }
  }

  void add_gram(int rows, int depth, const double* lines, double* sums) const override {
    constexpr int kDepth = 256;  // of a block: W lines of it stay in the fastest cache
    for (int begin = 0; begin < depth; begin += kDepth) {
      const int end = std::min(depth, begin + kDepth);
      for (int column = 0; column < rows; column += W)
        for (int row = column / kGramRows * kGramRows; row < rows; row += kGramRows)
          gram_tile(rows, depth, lines, row, column, begin, end, sums);
    }
  }

  void grades(const Model& m, const GradeTable& table, Workspace& workspace, int species, int count,
              const double* const* rows, double* out) const override {
    constexpr int kAtoms = 2 * W;  // a tile: two vectors of atoms against a panel of columns
    const int tiles = (count + kAtoms - 1) / kAtoms, depth = table.depth;
    V* largest = reinterpret_cast<V*>(workspace.reserve(static_cast<size_t>(depth + 1) * kAtoms * tiles));
    V* packed = largest + 2 * tiles;
    for (int t = 0; t < 2 * tiles; ++t) largest[t] = V{};
    for (int t = 0; t < tiles; ++t)
      pack_rows(m, rows + t * kAtoms, std::min(kAtoms, count - t * kAtoms),
                reinterpret_cast<double*>(packed + static_cast<size_t>(2 * t) * depth));
    // The panels are far larger than the cache: each is fetched once for all tiles, while the one before is at work.
    for (int panel = 0; panel < table.panel_count; ++panel) {
      const double* columns = table.panel(species, panel);
      const double* next = table.panel(species, std::min(panel + 1, table.panel_count - 1));
      for (int t = 0; t < tiles; ++t)
        grade_panel(packed + static_cast<size_t>(2 * t) * depth, columns, t == 0 ? next : columns, depth,
                    largest + 2 * t);
    }
    for (int a = 0; a < count; ++a) out[a] = largest[a / W][a % W];
  }

 private:
  static constexpr int kGramRows = 3;  // 3 W sums fill the registers

  // Products of three lines with W others.
  static void gram_tile(int rows, int depth, const double* lines, int row, int column, int begin, int end,
                        double* sums) {
    const size_t stride = static_cast<size_t>(depth);
    const double* left = lines + static_cast<size_t>(row) * stride;
    const double* right = lines + static_cast<size_t>(column) * stride;
    V sum[kGramRows][W] = {};
    for (int d = begin; d < end; d += W)
      for (int c = 0; c < W; ++c) {
        const V other = load(right + static_cast<size_t>(c) * stride + d);
        for (int r = 0; r < kGramRows; ++r) sum[r][c] += load(left + static_cast<size_t>(r) * stride + d) * other;
      }
    for (int r = 0; r < kGramRows; ++r) {
      double* out = sums + static_cast<size_t>(row + r) * static_cast<size_t>(rows) + column;
      store(out, load(out) + transposed_sum(sum[r], 1));
    }
  }

  static void add_sums(const V* lanes, int count, double* sums) {
    for (int i = 0; i < count; ++i) sums[i] += horizontal_sum(lanes[i]);
  }

  template <class T>
  static Batch<T> prepare(const Model& m, Workspace& workspace, const Neighborhoods& in, bool rows) {
    int most = 1;
    for (int i = 0; i < in.atom_count; ++i) most = std::max(most, in.count[i]);
    Batch<T> b;
    Carver measure;
    b.carve(measure, m, (most + W - 1) / W, rows);
    Carver memory(workspace.reserve(measure.used()));
    b.carve(memory, m, (most + W - 1) / W, rows);
    return b;
  }

  template <class T>
  static void moments(const Model& m, const Neighborhoods& in, int first, int atoms, Batch<T>& b,
                      const Velocities* velocity) {
    for (int a = 0; a < atoms; ++a) {
      if (m.species_count > W)
        radial_part<T, false, 0>(m, in, first + a, a, b, velocity);
      else if (m.radial_size == 8)
        radial_part<T, true, 8>(m, in, first + a, a, b, velocity);
      else
        radial_part<T, true, 0>(m, in, first + a, a, b, velocity);
    }
    basic_moments(m, in, first, atoms, b);
  }

  // Rows of a tile of atoms, one lane an atom; lanes to spare repeat the last one.
  static void pack_rows(const Model& m, const double* const* rows, int atoms, double* lanes) {
    constexpr int kAtoms = 2 * W;
    const int radial = m.row_block();
    for (int a = 0; a < kAtoms; ++a) {
      const double* row = rows[std::min(a, atoms - 1)];
      for (int p = 0; p < radial; ++p) lanes[p * kAtoms + a] = row[p];
      lanes[radial * kAtoms + a] = 1.0;
      for (int s = 0; s < m.scalar_count; ++s) lanes[(radial + 1 + s) * kAtoms + a] = row[radial + s];
    }
  }

  static void grade_panel(const V* packed, const double* panel, const double* next, int depth, V* largest) {
    constexpr int N = GradeTable::kPanel, kHalf = MTPCORE_LANES == 8 ? N : N / 2;
    for (int part = 0; part < N; part += kHalf) {
      V sum[2][kHalf] = {};
      for (int p = 0; p < depth; ++p) {
        const V left = packed[2 * p], right = packed[2 * p + 1];
        __builtin_prefetch(next + p * N);
        __builtin_prefetch(next + p * N + 8);
        for (int c = 0; c < kHalf; ++c) {
          const V weight = splat(panel[p * N + part + c]);
          sum[0][c] += left * weight;
          sum[1][c] += right * weight;
        }
      }
      for (int v = 0; v < 2; ++v)
        for (int c = 0; c < kHalf; ++c) {
          const V size = sum[v][c] < 0.0 ? -sum[v][c] : sum[v][c];
          largest[v] = size > largest[v] ? size : largest[v];
          largest[v] += size * 0.0;  // NaN stays NaN: an overflow must not pass for a small grade
        }
    }
  }
};

}  // namespace MTPCORE_ISA
}  // namespace mtpcore
