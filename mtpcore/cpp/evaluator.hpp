// Energies, forces, virials and parameter derivatives of whole structures, threaded over atoms.
#pragma once

#include <functional>
#include <vector>

#include "neighbors.hpp"

namespace mtpcore {

struct ClosePair {
  int i, j;
  double distance;  // angstrom, below the potential's min_dist
};

struct Evaluation {
  double energy = 0.0;                // eV
  std::vector<double> site_energies;  // (atom), eV
  std::vector<double> forces;         // (atom, 3), eV/angstrom
  std::array<double, 9> virial{};     // -dE/d(strain), eV
  std::vector<ClosePair> close_pairs;
};

// Throws StructureError for what check_system refuses and for atoms that coincide.
Evaluation evaluate(const Model& model, const System& system, int threads);

// Rows (atom, parameter_count) of d(site energy)/d(parameters) in the order radial, species, moment (as MLIP-3).
void site_energy_jacobian(const Model& model, const System& system, int threads, double* rows);

// Extrapolation grade of every neighbourhood.
void neighborhood_grades(const Model& model, const GradeTable& table, const System& system, int threads,
                         double* grades);

// d/d(parameters) of energy_weight E + sum_i w_i . F_i + sum_ab s_ab (-virial_ab); adds to gradient.
void loss_gradient(const Model& model, const System& system, double energy_weight, const double* force_weight,
                   const std::array<double, 9>& strain_weight, int threads, double* gradient);

// ------------------------------------------------------------------ steps that data sets share

void fill_neighbors(const CellList& cells, const System& system, int begin, int end, NeighborBuffer& buffer);

// Pairs with i <= j below min_dist among the buffer's atoms, which start at atom `first`.
void collect_close_pairs(const NeighborBuffer& buffer, int first, double min_dist, std::vector<ClosePair>& pairs);

// Adds the buffer's gradients to forces [atom][3] (of its atoms from forces on) and, unless null, to virial [9].
void scatter_forces(const NeighborBuffer& buffer, const double* const gradient[3], double* forces, double* virial,
                    int first = 0);

// Compact rows of the atoms in a buffer.
class RowMaker {
 public:
  const double* rows(const Model& model, const NeighborBuffer& buffer);

 private:
  Workspace workspace_;
  Aligned<double> gradient_[3];
  std::vector<double> energies_, rows_;
};

// One compact row among the parameters of all species.
void expand_row(const Model& model, int species, const double* compact, double* row);

// Relative displacements of the neighbours whose derivative of the energy is sum_i w_i . F_i + sum s_ab dE/d(strain).
class VelocityMaker {
 public:
  void make(const NeighborBuffer& buffer, int first, const double* force_weight, const std::array<double, 9>& strain);
  const double* x() const { return velocity_[0].data(); }
  const double* y() const { return velocity_[1].data(); }
  const double* z() const { return velocity_[2].data(); }

 private:
  Aligned<double> velocity_[3];
};

// Runs work(thread, begin, end) over equal shares of [0, count): the same shares for the same number of threads.
void parallel_shares(int threads, int count, const std::function<void(int, int, int)>& work);

}  // namespace mtpcore
