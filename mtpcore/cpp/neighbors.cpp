#include "neighbors.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace mtpcore {
namespace {

using Vector = std::array<double, 3>;

Vector row(const std::array<double, 9>& m, size_t i) { return {m[3 * i], m[3 * i + 1], m[3 * i + 2]}; }
Vector cross(const Vector& a, const Vector& b) {
  return {a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]};
}
double dot(const Vector& a, const Vector& b) { return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]; }
double norm(const Vector& a) { return std::sqrt(dot(a, a)); }
void set_row(std::array<double, 9>& m, size_t i, const Vector& v) {
  for (size_t x = 0; x < 3; ++x) m[3 * i + x] = v[x];
}

// A vector of length 1 along an open direction, independent of the other two.
Vector stand_in(const std::array<double, 9>& cell, size_t missing) {
  const Vector a = row(cell, (missing + 1) % 3), b = row(cell, (missing + 2) % 3);
  Vector candidate = cross(a, b);
  for (size_t x = 0; norm(candidate) < 1e-8 && x < 3; ++x) {
    const Vector axis = {x == 0 ? 1.0 : 0.0, x == 1 ? 1.0 : 0.0, x == 2 ? 1.0 : 0.0};
    const Vector used = norm(a) > 1e-8 ? a : b;
    candidate = norm(used) > 1e-8 ? cross(used, axis) : axis;
    if (norm(used) <= 1e-8) candidate = {missing == 0 ? 1.0 : 0.0, missing == 1 ? 1.0 : 0.0, missing == 2 ? 1.0 : 0.0};
  }
  const double length = norm(candidate);
  return {candidate[0] / length, candidate[1] / length, candidate[2] / length};
}

}  // namespace

void check_system(const System& system, int species_count) {
  for (int i = 0; i < system.atom_count; ++i) {
    for (int x = 0; x < 3; ++x)
      if (!std::isfinite(system.positions[3 * i + x]))
        throw StructureError("atom " + std::to_string(i) + " has a coordinate that is not finite");
    if (system.types[i] < 0 || system.types[i] >= species_count)
      throw SpeciesError("atom " + std::to_string(i) + " has type " + std::to_string(system.types[i]) +
                           ", the potential knows 0.." + std::to_string(species_count - 1));
  }
  for (double value : system.cell)
    if (!std::isfinite(value)) throw StructureError("the cell has an entry that is not finite");
}

CellList::CellList(const System& system, double cutoff)
    : cutoff_squared_(cutoff * cutoff), cutoff_(cutoff), periodic_(system.periodic) {
  set_cell(system);
  set_bins(system);
}

void CellList::set_cell(const System& system) {
  cell_ = system.cell;
  for (size_t d = 0; d < 3; ++d) {
    if (norm(row(cell_, d)) > 1e-8) continue;
    if (periodic_[d]) throw StructureError("cell vector " + std::to_string(d) + " is zero but marked periodic");
    set_row(cell_, d, stand_in(cell_, d));
  }
  const Vector a = row(cell_, 0), b = row(cell_, 1), c = row(cell_, 2);
  const double volume = dot(a, cross(b, c));
  if (std::abs(volume) < 1e-9 * norm(a) * norm(b) * norm(c)) throw StructureError("the cell vectors are coplanar");
  const Vector columns[3] = {cross(b, c), cross(c, a), cross(a, b)};
  for (size_t d = 0; d < 3; ++d)
    for (size_t x = 0; x < 3; ++x) inverse_[3 * x + d] = columns[d][x] / volume;
}

void CellList::set_bins(const System& system) {
  const size_t n = static_cast<size_t>(system.atom_count);
  std::vector<double> fractional(3 * n);
  wrapped_.assign(system.positions, system.positions + 3 * n);
  Vector high{};
  for (size_t i = 0; i < n; ++i)
    for (size_t d = 0; d < 3; ++d) {
      double s = 0;
      for (size_t x = 0; x < 3; ++x) s += system.positions[3 * i + x] * inverse_[3 * x + d];
      if (periodic_[d]) {
        const double turns = std::floor(s);
        s -= turns;
        for (size_t x = 0; x < 3; ++x) wrapped_[3 * i + x] -= turns * cell_[3 * d + x];
      } else {
        low_[d] = i == 0 ? s : std::min(low_[d], s);
        high[d] = i == 0 ? s : std::max(high[d], s);
      }
      fractional[3 * i + d] = s;
    }
  // No more bins than keeps some atoms in each: sparse cells must not cost memory.
  const double most = std::max(1.0, std::cbrt(static_cast<double>(n) + 1.0));
  for (size_t d = 0; d < 3; ++d) {
    if (!periodic_[d]) span_[d] = std::max(high[d] - low_[d], 1e-12);
    const Vector normal = {inverse_[d], inverse_[3 + d], inverse_[6 + d]};
    const double height = span_[d] / norm(normal);
    bins_[d] = static_cast<int>(std::clamp(std::floor(height / cutoff_), 1.0, 4.0 * most));
    const double reach = std::ceil(cutoff_ * bins_[d] / height);
    if (periodic_[d] && reach > 1000) throw StructureError("the cell is over 1000 times thinner than the cutoff");
    reach_[d] = static_cast<int>(std::min(reach, periodic_[d] ? 1000.0 : static_cast<double>(bins_[d])));
  }
  bin_of_.resize(n);
  bin_start_.assign(static_cast<size_t>(bins_[0]) * bins_[1] * bins_[2] + 1, 0);
  for (size_t i = 0; i < n; ++i) {
    int b[3];
    for (size_t d = 0; d < 3; ++d)
      b[d] = std::clamp(static_cast<int>((fractional[3 * i + d] - low_[d]) / span_[d] * bins_[d]), 0, bins_[d] - 1);
    bin_of_[i] = (b[0] * bins_[1] + b[1]) * bins_[2] + b[2];
    ++bin_start_[static_cast<size_t>(bin_of_[i]) + 1];
  }
  for (size_t k = 1; k < bin_start_.size(); ++k) bin_start_[k] += bin_start_[k - 1];
  bin_atoms_.resize(n);
  std::vector<int> next(bin_start_.begin(), bin_start_.end() - 1);
  for (size_t i = 0; i < n; ++i) bin_atoms_[static_cast<size_t>(next[static_cast<size_t>(bin_of_[i])]++)] = static_cast<int>(i);
}

void NeighborBuffer::clear() {
  for (auto* list : {&center_type, &start, &count, &index, &neighbor_type}) list->clear();
  for (auto* list : {&x, &y, &z}) list->clear();
}

void NeighborBuffer::begin_atom(int type) {
  center_type.push_back(type);
  start.push_back(static_cast<int>(x.size()));
}

void NeighborBuffer::end_atom() {
  count.push_back(static_cast<int>(x.size()) - start.back());
  while (x.size() % kPad != 0) push(-1, 0, cutoff_, 0.0, 0.0);
}

void NeighborBuffer::sort_by_type() {
  std::vector<size_t> order;
  const auto reorder = [&](auto& list, size_t begin) {
    const auto old = list;
    for (size_t n = 0; n < order.size(); ++n) list[begin + n] = old[order[n]];
  };
  for (size_t a = 0; a < start.size(); ++a) {
    const size_t begin = static_cast<size_t>(start[a]);
    order.resize(static_cast<size_t>(count[a]));
    std::iota(order.begin(), order.end(), begin);
    std::stable_sort(order.begin(), order.end(), [&](size_t i, size_t j) { return neighbor_type[i] < neighbor_type[j]; });
    for (auto* list : {&index, &neighbor_type}) reorder(*list, begin);
    for (auto* list : {&x, &y, &z}) reorder(*list, begin);
  }
}

Neighborhoods NeighborBuffer::view() const {
  Neighborhoods in;
  in.atom_count = static_cast<int>(center_type.size());
  in.center_type = center_type.data();
  in.start = start.data();
  in.count = count.data();
  in.dx = x.data();
  in.dy = y.data();
  in.dz = z.data();
  in.type = neighbor_type.data();
  return in;
}

}  // namespace mtpcore
