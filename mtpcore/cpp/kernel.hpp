// The arithmetic of a moment tensor potential over neighbourhoods; one implementation per instruction set.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "model.hpp"

namespace mtpcore {

// Neighbourhoods of several atoms. Each atom's segment starts at a multiple of kPad and is filled up to one with
// entries at the cutoff, which contribute nothing.
struct Neighborhoods {
  int atom_count = 0;
  const int* center_type = nullptr;  // [atom]
  const int* start = nullptr;        // [atom]
  const int* count = nullptr;        // [atom], without the filling
  const double *dx = nullptr, *dy = nullptr, *dz = nullptr;  // r_j - r_i, angstrom
  const int* type = nullptr;
};

// Scratch memory of one thread.
struct Workspace {
  Aligned<double> buffer;
  double* reserve(size_t doubles);  // not inline: kernels of every instruction set share one copy
};

// Inverse active set, per centre species the rows its site-energy derivatives meet, in panels of columns.
class GradeTable {
 public:
  // inverse_transposed: (n, n) as in ActiveSet.
  GradeTable(const Model& model, const double* inverse_transposed);
  static constexpr int kPanel = 12;  // columns held in registers at once
  int parameter_count, panel_count, depth;  // depth = row_size + 1 (the species' own coefficient)
  Aligned<double> panels;                   // [species][panel][depth][kPanel]
  const double* panel(int species, int index) const {
    return panels.data() + (static_cast<size_t>(species) * panel_count + index) * depth * kPanel;
  }
};

class Kernel {
 public:
  virtual ~Kernel() = default;
  // Site energies [atom] and d(site energy)/d(r_j) for every neighbour, in the layout of dx, dy, dz. If `rows` is not
  // null, also [atom][Model::row_size()]: d(site energy)/d(radial coefficients of the centre's species), then scalars.
  virtual void energy_gradient(const Model&, Workspace&, const Neighborhoods&, double* site_energy, double* gx,
                               double* gy, double* gz, double* rows) const = 0;
  // Adds d/d(parameters) of sum_i (weight_i E_i + dE_i), dE_i the derivative of E_i along neighbour displacements
  // (vx, vy, vz), to gradient [parameter_count()].
  virtual void directional_gradient(const Model&, Workspace&, const Neighborhoods&, const double* weight,
                                    const double* vx, const double* vy, const double* vz,
                                    double* gradient) const = 0;
  // d/d(parameters) of site energies and of d(site energy)/d(neighbour displacement) for every atom in turn:
  // receive(atom, row, values), values [row][3][slots], slots = the atom's segment length. Filled-up slots hold zeros.
  // The rows are those of energy_gradient, or with `scalars_only` the scalars alone: what a linear fit needs, at a
  // fraction of the cost.
  virtual void gradient_jacobian(const Model&, Workspace&, Workspace& scratch, const Neighborhoods&, bool scalars_only,
                                 const std::function<void(int, const double*, const double*)>& receive) const = 0;
  // Adds the products of `lines` [rows][depth] with each other to the lower triangle of sums [rows][rows]. Both aligned
  // to 64 bytes, rows a multiple of kGramPad, depth of kPad.
  static constexpr int kGramPad = 24;
  virtual void add_gram(int rows, int depth, const double* lines, double* sums) const = 0;
  // max |row A^-1| for `count` rows of one centre species.
  virtual void grades(const Model&, const GradeTable&, Workspace&, int species, int count,
                      const double* const* rows, double* grades) const = 0;
};

// The variant chosen at load time: the widest the processor has, or MTPCORE_SIMD (avx512, avx2, generic).
const Kernel& kernel();
std::string simd_name();
std::vector<std::string> simd_available();
// Switches the variant for the whole process; throws std::invalid_argument if this machine lacks it.
void select_simd(const std::string& name);

const Kernel& generic_kernel();
#ifdef MTPCORE_X86
const Kernel& avx2_kernel();
const Kernel& avx512_kernel();
#endif

}  // namespace mtpcore
