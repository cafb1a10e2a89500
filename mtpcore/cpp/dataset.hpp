// Structures with labels whose neighbourhoods are found once, for fitting: predictions, gradients of a loss and the
// Jacobian of the predictions, threaded over structures.
#pragma once

#include <vector>

#include "evaluator.hpp"

namespace mtpcore {

// Predictions of all structures, one after the other: energies [structure], forces [atom][3], virials [structure][9].
struct Predictions {
  std::vector<double> energies, forces, virials;
};

// Weighted residuals and the factors they were weighted with. No virials: null.
struct Residuals {
  const double *energy_factor, *energy;  // [structure]
  const double *force_factor, *force;    // [structure], [atom][3]
  const double *virial_factor, *virial;  // [structure][6]: xx yy zz yz xz xy
};

class Dataset {
 public:
  explicit Dataset(double cutoff) : cutoff_(cutoff) {}

  // Returns the pairs closer than min_dist. Throws as check_system.
  std::vector<ClosePair> add(const System& system, int species_count, double min_dist);

  // Without `virial`, virials are zero.
  Predictions predict(const Model& model, bool virial, int threads) const;

  // d/d(parameters) of sum_c (a_c E_c + sum_i w_i . F_i + sum_ab s_c,ab W_c,ab), W the virial (-dE/d strain).
  std::vector<double> gradient(const Model& model, const double* energy_weights, const double* force_weights,
                               const double* virial_weights, int threads) const;

  // J^T J of the weighted predictions, their Jacobian by the parameters or, with `linear_only`, by the species and moment
  // coefficients; the last row and column are J^T r: [parameters + 1][parameters + 1], without r^T r.
  std::vector<double> normal_equations(const Model& model, const Residuals& residuals, bool linear_only,
                                       int threads) const;

  int structure_count() const { return static_cast<int>(structures_.size()); }
  int atom_count(int structure) const { return static_cast<int>(structures_[static_cast<size_t>(structure)].types.size()); }
  int atom_count() const { return first_atom_.empty() ? 0 : first_atom_.back() + atom_count(structure_count() - 1); }
  int first_atom(int structure) const { return first_atom_[static_cast<size_t>(structure)]; }

 private:
  struct Structure {
    std::vector<int> types;
    NeighborBuffer neighbors;
  };
  class JacobianMaker;
  double cutoff_;
  std::vector<Structure> structures_;
  std::vector<int> first_atom_;
};

}  // namespace mtpcore
