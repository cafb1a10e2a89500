// A potential compiled for evaluation: moments renumbered for streaming access, the contraction program split into
// inner moments and scalars that nothing else uses, radial coefficients laid out for vector look-up by species.
#pragma once

#include <cstdlib>
#include <memory>
#include <new>
#include <vector>

#include "potential.hpp"

namespace mtpcore {

constexpr int kPad = 8;  // neighbour segments and species tables are padded to the widest vector
constexpr int kMaxRadialFuncs = 8, kMaxRadialSize = 64;

template <class T>
struct AlignedAllocator {
  using value_type = T;
  AlignedAllocator() = default;
  template <class U>
  AlignedAllocator(const AlignedAllocator<U>&) {}
  T* allocate(size_t n) { return static_cast<T*>(::operator new(n * sizeof(T), std::align_val_t(64))); }
  void deallocate(T* p, size_t) { ::operator delete(p, std::align_val_t(64)); }
  template <class U>
  bool operator==(const AlignedAllocator<U>&) const {
    return true;
  }
  template <class U>
  bool operator!=(const AlignedAllocator<U>&) const {
    return false;
  }
};
template <class T>
using Aligned = std::vector<T, AlignedAllocator<T>>;

struct Product {
  int left, right;
  double multiplicity;
};

// Moments that are sums of products of earlier ones: moment `target[t]` = sum over products [begin[t], begin[t+1]).
struct Program {
  std::vector<int> target, begin{0};
  std::vector<Product> products;
};

// Scalars no other moment needs enter the energy directly; products of all of them with a common left factor:
// E += M[left] * sum_k weight_k M[right_k].
struct LeafProgram {
  std::vector<int> left, begin{0};
  std::vector<int> right;
  std::vector<double> weight;
};

class Model {
 public:
  explicit Model(const Potential& potential);

  // Takes new coefficients in the order of Potential (radial, species, moment); the tables stay.
  void set_parameters(const double* parameters);

  int species_count, radial_size, radial_funcs, scalar_count;
  double min_dist, max_dist, scaling;
  int max_degree = 0;
  std::vector<int> degree_radial;  // per degree: radial functions 0..n-1 that occur
  std::vector<int> degree_basic;   // per degree: index of its first basic moment; (monomial, mu) within
  int basic_count = 0;             // with the unused slots of the regular numbering
  int moment_count = 0;
  Program inner, leaf;
  LeafProgram leaf_energy;
  std::vector<int> scalar_moment;         // per scalar of the basis: its moment
  std::vector<double> moment_energy;      // per moment: d(site energy)/d(moment) from scalars that others use, too
  std::vector<double> leaf_coefficient;   // per leaf target
  std::vector<double> species_energy, scalar_coefficient;
  int species_stride;             // species_count padded
  Aligned<double> radial_lookup;  // [center][mu][k][neighbour species padded]
  Aligned<double> radial_rows;    // [center][neighbour][mu][k]: as in the file

  const double* lookup(int center) const {
    return radial_lookup.data() + static_cast<size_t>(center) * radial_funcs * radial_size * species_stride;
  }
  int row_block() const { return species_count * radial_funcs * radial_size; }  // radial parameters of one center
  int row_size() const { return row_block() + scalar_count; }                   // ... and the scalars
  int radial_count() const { return species_count * row_block(); }
  int parameter_count() const { return radial_count() + species_count + scalar_count; }

 private:
  void number_basics(const Potential& potential, std::vector<int>& renumbered);
  void compile(const Potential& potential, const std::vector<int>& renumbered);
  void fuse_leaves();

  struct LeafTerm {
    int leaf;
    double multiplicity;
  };
  std::vector<std::vector<LeafTerm>> leaf_terms;       // per entry of leaf_energy.weight
};

}  // namespace mtpcore
