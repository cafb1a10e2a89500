// Neighbours within a cutoff in any cell: periodic or open along each vector, triclinic, smaller than the cutoff.
#pragma once

#include <array>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernel.hpp"

namespace mtpcore {

class StructureError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

class SpeciesError : public StructureError {
 public:
  using StructureError::StructureError;
};

struct System {
  int atom_count;
  const double* positions;  // (atom_count, 3), angstrom
  const int* types;         // 0-based species of the potential
  std::array<double, 9> cell;
  std::array<bool, 3> periodic;
};

// Throws StructureError naming the first atom with a non-finite coordinate, SpeciesError with a type outside
// 0..species_count-1.
void check_system(const System& system, int species_count);

// Atoms sorted into bins of at least the cutoff's width along each cell vector.
class CellList {
 public:
  CellList(const System& system, double cutoff);

  // Calls visit(j, dx, dy, dz) for every neighbour of atom i, images of i itself included.
  template <class F>
  void visit(int i, F&& visit) const;

 private:
  void set_cell(const System& system);
  void set_bins(const System& system);

  double cutoff_squared_, cutoff_;
  std::array<double, 9> cell_{}, inverse_{};
  std::array<bool, 3> periodic_;
  std::array<int, 3> bins_{}, reach_{};
  std::array<double, 3> low_{}, span_{{1, 1, 1}};  // fractional range covered by the bins
  std::vector<double> wrapped_;                    // positions with periodic coordinates inside the cell
  std::vector<int> bin_of_, bin_start_, bin_atoms_;
};

template <class F>
void CellList::visit(int i, F&& visit) const {
  const double* at = &wrapped_[3 * static_cast<size_t>(i)];
  const int bin = bin_of_[static_cast<size_t>(i)];
  const int home[3] = {bin / (bins_[1] * bins_[2]), bin / bins_[2] % bins_[1], bin % bins_[2]};
  int index[3], shift[3];
  const auto locate = [&](int d, int offset) {
    int b = home[d] + offset;
    shift[d] = 0;
    if (!periodic_[static_cast<size_t>(d)]) {
      index[d] = b;
      return b >= 0 && b < bins_[static_cast<size_t>(d)];
    }
    const int n = bins_[static_cast<size_t>(d)];
    shift[d] = b >= 0 ? b / n : -((n - 1 - b) / n);
    index[d] = b - shift[d] * n;
    return true;
  };
  for (int a = -reach_[0]; a <= reach_[0]; ++a) {
    if (!locate(0, a)) continue;
    for (int b = -reach_[1]; b <= reach_[1]; ++b) {
      if (!locate(1, b)) continue;
      for (int c = -reach_[2]; c <= reach_[2]; ++c) {
        if (!locate(2, c)) continue;
        double origin[3];
        for (size_t x = 0; x < 3; ++x)
          origin[x] = shift[0] * cell_[x] + shift[1] * cell_[3 + x] + shift[2] * cell_[6 + x] - at[x];
        const bool home_image = shift[0] == 0 && shift[1] == 0 && shift[2] == 0;
        const size_t target = static_cast<size_t>((index[0] * bins_[1] + index[1]) * bins_[2] + index[2]);
        for (int k = bin_start_[target]; k < bin_start_[target + 1]; ++k) {
          const int j = bin_atoms_[static_cast<size_t>(k)];
          if (j == i && home_image) continue;
          const double* other = &wrapped_[3 * static_cast<size_t>(j)];
          const double dx = other[0] + origin[0], dy = other[1] + origin[1], dz = other[2] + origin[2];
          if (dx * dx + dy * dy + dz * dz < cutoff_squared_) visit(j, dx, dy, dz);
        }
      }
    }
  }
}

// Neighbourhoods of a run of atoms in the layout the kernels read.
class NeighborBuffer {
 public:
  explicit NeighborBuffer(double cutoff) : cutoff_(cutoff) {}
  void clear();
  void begin_atom(int type);
  void push(int j, int type, double dx, double dy, double dz) {
    index.push_back(j);
    neighbor_type.push_back(type);
    x.push_back(dx);
    y.push_back(dy);
    z.push_back(dz);
  }
  void end_atom();
  // Orders each atom's neighbours by their type: kernels work through one type after the other.
  void sort_by_type();
  Neighborhoods view() const;
  size_t slots() const { return x.size(); }

  std::vector<int> center_type, start, count, index, neighbor_type;  // index: -1 where filled up
  Aligned<double> x, y, z;

 private:
  double cutoff_;
};

}  // namespace mtpcore
