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

// Runs work(thread, begin, end) over equal shares of [0, count): the same shares for the same number of threads.
void parallel_shares(int threads, int count, const std::function<void(int, int, int)>& work);

}  // namespace mtpcore
