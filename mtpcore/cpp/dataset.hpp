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

class Dataset {
 public:
  explicit Dataset(double cutoff) : cutoff_(cutoff) {}

  // Returns the pairs closer than min_dist. Throws as check_system.
  std::vector<ClosePair> add(const System& system, int species_count, double min_dist);

  Predictions predict(const Model& model, int threads) const;

  // d/d(parameters) of sum_c (a_c E_c + sum_i w_i . F_i + sum_ab s_c,ab W_c,ab), W the virial (-dE/d strain).
  std::vector<double> gradient(const Model& model, const double* energy_weights, const double* force_weights,
                               const double* virial_weights, int threads) const;

  // d(predictions of structure c)/d(parameters), one line a parameter: energy, 3N forces and, with `virial`, 6 virial
  // components (xx yy zz yz xz xy). `lines` is [parameters][1 + 3N (+ 6)]; the parameters are all, or with
  // `linear_only` the species and moment coefficients.
  void jacobian(const Model& model, int structure, bool virial, bool linear_only, double* lines) const;

  // Rows d(site energy)/d(parameters) of structure c, [atom][parameter_count].
  void site_rows(const Model& model, int structure, double* rows) const;

  int structure_count() const { return static_cast<int>(structures_.size()); }
  int atom_count(int structure) const { return static_cast<int>(structures_[static_cast<size_t>(structure)].types.size()); }
  int atom_count() const { return first_atom_.empty() ? 0 : first_atom_.back() + atom_count(structure_count() - 1); }
  int first_atom(int structure) const { return first_atom_[static_cast<size_t>(structure)]; }

 private:
  struct Structure {
    std::vector<int> types;
    NeighborBuffer neighbors;
  };
  double cutoff_;
  std::vector<Structure> structures_;
  std::vector<int> first_atom_;
};

}  // namespace mtpcore
