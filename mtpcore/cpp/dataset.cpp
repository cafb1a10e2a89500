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

// Row of one site's parameters, spread over all species' parameters.
void add_block(const Model& m, int species, const double* block, double factor, double* row) {
  double* radial = row + species * m.row_block();
  for (int i = 0; i < m.row_block(); ++i) radial[i] += factor * block[i];
  double* scalars = row + m.radial_count() + m.species_count;
  for (int i = 0; i < m.scalar_count; ++i) scalars[i] += factor * block[m.row_block() + i];
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

void Dataset::jacobian(const Model& model, int structure, bool virial, double* rows) const {
  const Structure& s = structures_[static_cast<size_t>(structure)];
  const NeighborBuffer& near = s.neighbors;
  const size_t width = static_cast<size_t>(model.parameter_count()), atoms = s.types.size();
  std::fill(rows, rows + (1 + 3 * atoms + (virial ? 6 : 0)) * width, 0.0);

  std::vector<double> site(atoms * width);
  site_rows(model, structure, site.data());
  for (size_t i = 0; i < atoms; ++i)
    for (size_t p = 0; p < width; ++p) rows[p] += site[i * width + p];

  double* force_rows = rows + width;
  double* virial_rows = rows + (1 + 3 * atoms) * width;
  const double* r[3] = {near.x.data(), near.y.data(), near.z.data()};
  Workspace workspace, scratch;
  std::vector<double> block(static_cast<size_t>(model.row_size()));
  kernel().gradient_jacobian(model, workspace, scratch, near.view(), [&](int atom, const double* values) {
    const size_t a = static_cast<size_t>(atom);
    const int slots = (near.count[a] + kPad - 1) / kPad * kPad, species = near.center_type[a];
    for (int n = 0; n < near.count[a]; ++n) {
      const size_t slot = static_cast<size_t>(near.start[a] + n);
      const size_t j = static_cast<size_t>(near.index[slot]);
      for (size_t x = 0; x < 3; ++x) {
        for (size_t p = 0; p < block.size(); ++p) block[p] = values[(p * 3 + x) * static_cast<size_t>(slots) + static_cast<size_t>(n)];
        if (j != a) {
          add_block(model, species, block.data(), 1.0, force_rows + (3 * a + x) * width);
          add_block(model, species, block.data(), -1.0, force_rows + (3 * j + x) * width);
        }
        if (virial)
          for (int v = 0; v < 6; ++v) {
            // The symmetric part: both orders of the two axes, half each.
            double factor = 0.0;
            if (kVoigtRow[v] == static_cast<int>(x)) factor += 0.5 * r[kVoigtColumn[v]][slot];
            if (kVoigtColumn[v] == static_cast<int>(x)) factor += 0.5 * r[kVoigtRow[v]][slot];
            if (factor != 0.0) add_block(model, species, block.data(), -factor, virial_rows + static_cast<size_t>(v) * width);
          }
      }
    }
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
