#include "dataset.hpp"

#include <algorithm>

namespace mtpcore {
namespace {

constexpr int kVoigtRow[6] = {0, 1, 2, 1, 0, 0}, kVoigtColumn[6] = {0, 1, 2, 2, 2, 1};

// Structures in shares of about equal numbers of atoms: the same shares for the same number of threads.
template <class F>
void over_structures(const Dataset& set, int threads, F&& work) {
  threads = std::clamp(threads, 1, std::max(1, set.structure_count()));
  std::vector<int> bound{0};
  const long long atoms = set.atom_count();
  for (int c = 0; c < set.structure_count(); ++c)
    while (static_cast<int>(bound.size()) < threads && set.first_atom(c) * static_cast<long long>(threads) >= atoms * static_cast<long long>(bound.size()))
      bound.push_back(c);
  while (static_cast<int>(bound.size()) <= threads) bound.push_back(set.structure_count());
  parallel_shares(threads, threads, [&](int, int begin, int end) {
    for (int share = begin; share < end; ++share)
      work(share, bound[static_cast<size_t>(share)], bound[static_cast<size_t>(share) + 1]);
  });
}

// Adds d(dE_i/d neighbours)/d(one parameter), values [3][slots], to that parameter's line of forces and virial.
void add_line(const NeighborBuffer& near, size_t atom, const double* values, bool virial, double* forces,
              double* virials) {
  const int count = near.count[atom], slots = (count + kPad - 1) / kPad * kPad;
  const size_t start = static_cast<size_t>(near.start[atom]);
  const double* r[3] = {&near.x[start], &near.y[start], &near.z[start]};
  const int* index = &near.index[start];
  for (int x = 0; x < 3; ++x) {
    const double* v = values + x * slots;
    double sum = 0.0;
    for (int n = 0; n < count; ++n) {
      sum += v[n];
      forces[3 * index[n] + x] -= v[n];
    }
    forces[3 * atom + static_cast<size_t>(x)] += sum;
    if (!virial) continue;
    double moment[3] = {};
    for (int n = 0; n < count; ++n)
      for (int y = 0; y < 3; ++y) moment[y] += v[n] * r[y][n];
    // The symmetric part: both orders of the two axes, half each.
    for (int c = 0; c < 6; ++c) {
      if (kVoigtRow[c] == x) virials[c] -= 0.5 * moment[kVoigtColumn[c]];
      if (kVoigtColumn[c] == x) virials[c] -= 0.5 * moment[kVoigtRow[c]];
    }
  }
}

}  // namespace

std::vector<ClosePair> Dataset::add(const System& system, int species_count, double min_dist) {
  check_system(system, species_count);
  const CellList cells(system, cutoff_);
  Structure structure{std::vector<int>(system.types, system.types + system.atom_count), NeighborBuffer(cutoff_)};
  fill_neighbors(cells, system, 0, system.atom_count, structure.neighbors);
  std::vector<ClosePair> pairs;
  collect_close_pairs(structure.neighbors, 0, min_dist, pairs);
  first_atom_.push_back(atom_count());
  structures_.push_back(std::move(structure));
  return pairs;
}

Predictions Dataset::predict(const Model& model, int threads) const {
  Predictions out;
  out.energies.assign(structures_.size(), 0.0);
  out.forces.assign(3 * static_cast<size_t>(atom_count()), 0.0);
  out.virials.assign(9 * structures_.size(), 0.0);
  over_structures(*this, threads, [&](int, int begin, int end) {
    Workspace workspace;
    Aligned<double> g[3];
    std::vector<double> sites;
    for (int c = begin; c < end; ++c) {
      const Structure& s = structures_[static_cast<size_t>(c)];
      for (auto& component : g) component.resize(std::max(component.size(), s.neighbors.slots()));
      sites.resize(s.types.size());
      kernel().energy_gradient(model, workspace, s.neighbors.view(), sites.data(), g[0].data(), g[1].data(),
                               g[2].data(), nullptr);
      for (double energy : sites) out.energies[static_cast<size_t>(c)] += energy;
      const double* gradient[3] = {g[0].data(), g[1].data(), g[2].data()};
      scatter_forces(s.neighbors, gradient, &out.forces[3 * static_cast<size_t>(first_atom(c))],
                     &out.virials[9 * static_cast<size_t>(c)]);
    }
  });
  return out;
}

std::vector<double> Dataset::gradient(const Model& model, const double* energy_weights, const double* force_weights,
                                      const double* virial_weights, int threads) const {
  const size_t width = static_cast<size_t>(model.parameter_count());
  threads = std::clamp(threads, 1, std::max(1, structure_count()));
  std::vector<std::vector<double>> partial(static_cast<size_t>(threads), std::vector<double>(width, 0.0));
  over_structures(*this, threads, [&](int share, int begin, int end) {
    Workspace workspace;
    VelocityMaker maker;
    std::vector<double> weights;
    for (int c = begin; c < end; ++c) {
      const Structure& s = structures_[static_cast<size_t>(c)];
      std::array<double, 9> strain;
      for (size_t i = 0; i < 9; ++i) strain[i] = -virial_weights[9 * static_cast<size_t>(c) + i];
      maker.make(s.neighbors, 0, force_weights + 3 * first_atom(c), strain);
      weights.assign(s.types.size(), energy_weights[c]);
      kernel().directional_gradient(model, workspace, s.neighbors.view(), weights.data(), maker.x(), maker.y(),
                                    maker.z(), partial[static_cast<size_t>(share)].data());
    }
  });
  std::vector<double> total(width, 0.0);
  for (const auto& share : partial)
    for (size_t i = 0; i < width; ++i) total[i] += share[i];
  return total;
}

void Dataset::jacobian(const Model& model, int structure, bool virial, bool linear_only, double* lines) const {
  const Structure& s = structures_[static_cast<size_t>(structure)];
  const NeighborBuffer& near = s.neighbors;
  const size_t all = static_cast<size_t>(model.parameter_count()), atoms = s.types.size();
  const size_t skipped = linear_only ? static_cast<size_t>(model.radial_count()) : 0;
  const size_t length = 1 + 3 * atoms + (virial ? 6 : 0);
  std::fill(lines, lines + (all - skipped) * length, 0.0);

  std::vector<double> site(atoms * all);
  site_rows(model, structure, site.data());
  for (size_t i = 0; i < atoms; ++i)
    for (size_t p = skipped; p < all; ++p) lines[(p - skipped) * length] += site[i * all + p];

  Workspace workspace, scratch;
  kernel().gradient_jacobian(model, workspace, scratch, near.view(), linear_only, [&](int atom, const double* values) {
    const size_t a = static_cast<size_t>(atom);
    const size_t slots = static_cast<size_t>((near.count[a] + kPad - 1) / kPad * kPad);
    const auto add = [&](size_t parameter, size_t row) {
      double* line = lines + (parameter - skipped) * length;
      add_line(near, a, values + row * 3 * slots, virial, line + 1, line + 1 + 3 * atoms);
    };
    const size_t block = linear_only ? 0 : static_cast<size_t>(model.row_block());
    for (size_t row = 0; row < block; ++row) add(static_cast<size_t>(near.center_type[a]) * block + row, row);
    const size_t scalars = static_cast<size_t>(model.radial_count() + model.species_count);
    for (size_t k = 0; k < static_cast<size_t>(model.scalar_count); ++k) add(scalars + k, block + k);
  });
}

void Dataset::site_rows(const Model& model, int structure, double* rows) const {
  const Structure& s = structures_[static_cast<size_t>(structure)];
  RowMaker maker;
  const double* compact = maker.rows(model, s.neighbors);
  for (size_t i = 0; i < s.types.size(); ++i)
    expand_row(model, s.types[i], compact + i * static_cast<size_t>(model.row_size()),
               rows + i * static_cast<size_t>(model.parameter_count()));
}

}  // namespace mtpcore
