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
  structure.neighbors.sort_by_type();
  std::vector<ClosePair> pairs;
  collect_close_pairs(structure.neighbors, 0, min_dist, pairs);
  first_atom_.push_back(atom_count());
  structures_.push_back(std::move(structure));
  return pairs;
}

Predictions Dataset::predict(const Model& model, bool virial, int threads) const {
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
                     virial ? &out.virials[9 * static_cast<size_t>(c)] : nullptr);
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

// d(predictions of a structure)/d(parameters), weighted, one line a parameter: energy, 3N forces and 6 virial components.
class Dataset::JacobianMaker {
 public:
  JacobianMaker(const Model& model, const Residuals& residuals, bool linear_only)
      : model_(model),
        residuals_(residuals),
        linear_only_(linear_only),
        skipped_(linear_only ? static_cast<size_t>(model.radial_count()) : 0),
        count_(static_cast<size_t>(model.parameter_count()) - skipped_) {}

  // Rows of lines, the last but for the filling that of the residuals.
  int rows() const { return static_cast<int>(padded(count_ + 1, Kernel::kGramPad)); }
  int length() const { return static_cast<int>(length_); }

  const double* lines(const Structure& s, size_t structure, size_t first_atom) {
    const size_t atoms = s.types.size();
    length_ = padded(1 + 3 * atoms + (residuals_.virial ? 6 : 0), kPad);
    lines_.assign(static_cast<size_t>(rows()) * length_, 0.0);
    for (int type : s.types) line(static_cast<size_t>(model_.radial_count() + type))[0] += 1.0;
    kernel().gradient_jacobian(model_, workspace_, scratch_, s.neighbors.view(), linear_only_,
                               [&](int atom, const double* row, const double* values) {
                                 add_atom(s.neighbors, static_cast<size_t>(atom), atoms, row, values);
                               });
    weigh(structure, first_atom, atoms);
    return lines_.data();
  }

 private:
  static size_t padded(size_t n, size_t to) { return (n + to - 1) / to * to; }
  double* line(size_t parameter) { return lines_.data() + (parameter - skipped_) * length_; }

  void add_atom(const NeighborBuffer& near, size_t atom, size_t atoms, const double* row, const double* values) {
    const size_t slots = padded(static_cast<size_t>(near.count[atom]), kPad);
    const auto add = [&](size_t parameter) {
      double* to = line(parameter);
      to[0] += *row++;
      add_line(near, atom, values, residuals_.virial != nullptr, to + 1, to + 1 + 3 * atoms);
      values += 3 * slots;
    };
    const size_t block = linear_only_ ? 0 : static_cast<size_t>(model_.row_block());
    const size_t scalars = static_cast<size_t>(model_.radial_count() + model_.species_count);
    for (size_t r = 0; r < block; ++r) add(static_cast<size_t>(near.center_type[atom]) * block + r);
    for (size_t r = 0; r < static_cast<size_t>(model_.scalar_count); ++r) add(scalars + r);
  }

  void weigh(size_t structure, size_t first_atom, size_t atoms) {
    factors_.assign(length_, 0.0);
    factors_[0] = residuals_.energy_factor[structure];
    std::fill_n(factors_.begin() + 1, 3 * atoms, residuals_.force_factor[structure]);
    double* last = lines_.data() + count_ * length_;
    last[0] = residuals_.energy[structure];
    std::copy_n(residuals_.force + 3 * first_atom, 3 * atoms, last + 1);
    if (residuals_.virial) {
      std::copy_n(residuals_.virial_factor + 6 * structure, 6, &factors_[1 + 3 * atoms]);
      std::copy_n(residuals_.virial + 6 * structure, 6, last + 1 + 3 * atoms);
    }
    for (size_t r = 0; r < count_; ++r)
      for (size_t i = 0; i < length_; ++i) lines_[r * length_ + i] *= factors_[i];
  }

  const Model& model_;
  const Residuals& residuals_;
  bool linear_only_;
  size_t skipped_, count_, length_ = 0;
  Workspace workspace_, scratch_;
  Aligned<double> lines_, factors_;
};

std::vector<double> Dataset::normal_equations(const Model& model, const Residuals& residuals, bool linear_only,
                                              int threads) const {
  threads = std::clamp(threads, 1, std::max(1, structure_count()));
  std::vector<Aligned<double>> partial(static_cast<size_t>(threads));
  over_structures(*this, threads, [&](int share, int begin, int end) {
    JacobianMaker maker(model, residuals, linear_only);
    Aligned<double>& sums = partial[static_cast<size_t>(share)];
    sums.assign(static_cast<size_t>(maker.rows()) * static_cast<size_t>(maker.rows()), 0.0);
    for (int c = begin; c < end; ++c) {
      const size_t structure = static_cast<size_t>(c);
      const double* lines = maker.lines(structures_[structure], structure, static_cast<size_t>(first_atom(c)));
      kernel().add_gram(maker.rows(), maker.length(), lines, sums.data());
    }
  });
  const size_t count = static_cast<size_t>(model.parameter_count() - (linear_only ? model.radial_count() : 0)) + 1;
  const size_t stride = static_cast<size_t>(JacobianMaker(model, residuals, linear_only).rows());
  std::vector<double> total(count * count, 0.0);
  for (size_t i = 0; i < count; ++i)
    for (size_t j = 0; j <= i; ++j) {
      double sum = 0.0;
      for (const auto& sums : partial) sum += sums[i * stride + j];
      total[i * count + j] = total[j * count + i] = sum;
    }
  return total;
}

}  // namespace mtpcore
