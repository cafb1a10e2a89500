#include "model.hpp"

#include <algorithm>
#include <cstdint>
#include <map>

namespace mtpcore {
namespace {

int monomials(int degree) { return (degree + 1) * (degree + 2) / 2; }

// Position of x^a y^b z^c among the monomials of degree a + b + c, sorted by a descending, then b descending.
int monomial_index(int b, int c) { return (b + c) * (b + c + 1) / 2 + c; }

// Arithmetic modulo the Mersenne prime 2^61 - 1: two moments that agree at random points of this field are, up to a
// chance of 1e-17, the same polynomial of the basic moments, and one of them need not be computed.
constexpr uint64_t kPrime = (uint64_t(1) << 61) - 1;
uint64_t mul_mod(uint64_t a, uint64_t b) {
  const unsigned __int128 product = static_cast<unsigned __int128>(a) * b;
  const uint64_t sum = static_cast<uint64_t>(product & kPrime) + static_cast<uint64_t>(product >> 61);
  return sum >= kPrime ? sum - kPrime : sum;
}
uint64_t add_mod(uint64_t a, uint64_t b) {
  const uint64_t sum = a + b;
  return sum >= kPrime ? sum - kPrime : sum;
}
uint64_t random_element(uint64_t index) {  // splitmix64
  uint64_t z = (index + 1) * 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return (z ^ (z >> 31)) % kPrime;
}

using Times = std::vector<std::array<int, 4>>;

// representative[i] = the first moment that is the same polynomial as moment i.
std::vector<int> find_equal_moments(const Potential& p, const Times& times) {
  std::vector<uint64_t> value(static_cast<size_t>(p.moments_count), 0);
  const size_t basics = p.index_basic.size();
  for (size_t i = 0; i < basics; ++i) {
    const auto& b = p.index_basic[i];
    value[i] = random_element(static_cast<uint64_t>(((b[0] * 64 + b[1]) * 64 + b[2]) * 64 + b[3]));
  }
  for (const auto& t : times) {
    const uint64_t product = mul_mod(value[static_cast<size_t>(t[0])], value[static_cast<size_t>(t[1])]);
    auto& sum = value[static_cast<size_t>(t[3])];
    sum = add_mod(sum, mul_mod(product, static_cast<uint64_t>(t[2])));
  }
  std::map<uint64_t, int> first;
  std::vector<int> representative(value.size());
  for (size_t i = 0; i < value.size(); ++i)
    representative[i] = first.emplace(value[i], static_cast<int>(i)).first->second;
  return representative;
}

}  // namespace

Model::Model(const Potential& p)
    : species_count(p.species_count),
      radial_size(p.radial_basis_size),
      radial_funcs(p.radial_funcs_count),
      scalar_count(static_cast<int>(p.moment_mapping.size())),
      min_dist(p.min_dist),
      max_dist(p.max_dist),
      scaling(p.scaling),
      species_stride((p.species_count + kPad - 1) / kPad * kPad) {
  validate(p);
  if (radial_funcs > kMaxRadialFuncs)
    throw std::invalid_argument("at most " + std::to_string(kMaxRadialFuncs) + " radial functions are supported, not " +
                                std::to_string(radial_funcs));
  if (radial_size > kMaxRadialSize)
    throw std::invalid_argument("radial_basis_size is at most " + std::to_string(kMaxRadialSize) + ", not " +
                                std::to_string(radial_size));
  std::vector<int> renumbered(static_cast<size_t>(p.moments_count), -1);
  number_basics(p, renumbered);
  compile(p, renumbered);
  fuse_leaves();
  std::vector<double> parameters = p.radial_coeffs;
  parameters.insert(parameters.end(), p.species_coeffs.begin(), p.species_coeffs.end());
  parameters.insert(parameters.end(), p.moment_coeffs.begin(), p.moment_coeffs.end());
  set_parameters(parameters.data());
}

void Model::number_basics(const Potential& p, std::vector<int>& renumbered) {
  for (const auto& b : p.index_basic) max_degree = std::max(max_degree, b[1] + b[2] + b[3]);
  degree_radial.assign(static_cast<size_t>(max_degree) + 1, 0);
  for (const auto& b : p.index_basic) {
    int& count = degree_radial[static_cast<size_t>(b[1] + b[2] + b[3])];
    count = std::max(count, b[0] + 1);
  }
  for (int degree = 0; degree <= max_degree; ++degree) {
    degree_basic.push_back(basic_count);
    basic_count += monomials(degree) * degree_radial[static_cast<size_t>(degree)];
  }
  for (size_t i = 0; i < p.index_basic.size(); ++i) {
    const auto& b = p.index_basic[i];
    const size_t degree = static_cast<size_t>(b[1] + b[2] + b[3]);
    renumbered[i] = degree_basic[degree] + monomial_index(b[2], b[3]) * degree_radial[degree] + b[0];
  }
}

void Model::compile(const Potential& p, const std::vector<int>& basic_number) {
  Times times = p.index_times;
  std::stable_sort(times.begin(), times.end(), [](const auto& a, const auto& b) { return a[3] < b[3]; });
  const std::vector<int> same = find_equal_moments(p, times);
  const auto at = [](const std::vector<int>& v, int i) { return v[static_cast<size_t>(i)]; };

  // A moment is needed if a scalar of the basis or a factor of a needed moment; a leaf is a scalar that is no factor.
  std::vector<char> needed(same.size(), 0), factor(same.size(), 0), scalar(same.size(), 0);
  for (int m : p.moment_mapping) needed[static_cast<size_t>(at(same, m))] = scalar[static_cast<size_t>(at(same, m))] = 1;
  for (auto t = times.rbegin(); t != times.rend(); ++t) {
    const int target = (*t)[3];
    if (at(same, target) != target || !needed[static_cast<size_t>(target)]) continue;
    for (int side : {0, 1}) {
      const size_t f = static_cast<size_t>(at(same, (*t)[static_cast<size_t>(side)]));
      needed[f] = factor[f] = 1;
    }
  }
  std::vector<int> number = basic_number;
  moment_count = basic_count;
  const int basics = static_cast<int>(p.index_basic.size());
  std::map<int, std::map<std::pair<int, int>, double>> products;
  for (const auto& t : times) {
    const int target = t[3];
    if (at(same, target) != target || !needed[static_cast<size_t>(target)]) continue;
    const std::pair<int, int> pair = std::minmax({at(same, t[0]), at(same, t[1])});
    products[target][pair] += t[2];
  }
  for (bool leaves : {false, true}) {
    Program& program = leaves ? leaf : inner;
    for (const auto& [target, terms] : products) {
      if (target < basics || (factor[static_cast<size_t>(target)] == 0) != leaves) continue;
      number[static_cast<size_t>(target)] = moment_count++;
      program.target.push_back(at(number, target));
      for (const auto& [pair, multiplicity] : terms)
        program.products.push_back({at(number, pair.first), at(number, pair.second), multiplicity});
      program.begin.push_back(static_cast<int>(program.products.size()));
    }
  }
  for (int m : p.moment_mapping) scalar_moment.push_back(at(number, at(same, m)));
}

// Collects the products of all leaves by left factor, so that one load of M[left] serves many of them.
void Model::fuse_leaves() {
  std::map<std::pair<int, int>, std::vector<LeafTerm>> terms;
  for (size_t t = 0; t < leaf.target.size(); ++t)
    for (int i = leaf.begin[t]; i < leaf.begin[t + 1]; ++i) {
      const Product& product = leaf.products[static_cast<size_t>(i)];
      terms[{product.left, product.right}].push_back({static_cast<int>(t), product.multiplicity});
    }
  for (const auto& [pair, list] : terms) {
    if (leaf_energy.left.empty() || leaf_energy.left.back() != pair.first) {
      if (!leaf_energy.left.empty()) leaf_energy.begin.push_back(static_cast<int>(leaf_energy.right.size()));
      leaf_energy.left.push_back(pair.first);
    }
    leaf_energy.right.push_back(pair.second);
    leaf_terms.push_back(list);
  }
  if (!leaf_energy.left.empty()) leaf_energy.begin.push_back(static_cast<int>(leaf_energy.right.size()));
  leaf_energy.weight.resize(leaf_energy.right.size());
}

void Model::set_parameters(const double* parameters) {
  const size_t block = static_cast<size_t>(radial_funcs) * static_cast<size_t>(radial_size);
  radial_rows.assign(parameters, parameters + radial_count());
  radial_lookup.assign(static_cast<size_t>(species_count) * block * static_cast<size_t>(species_stride), 0.0);
  for (int a = 0; a < species_count; ++a)
    for (int b = 0; b < species_count; ++b)
      for (size_t i = 0; i < block; ++i)
        radial_lookup[(static_cast<size_t>(a) * block + i) * static_cast<size_t>(species_stride) + static_cast<size_t>(b)] =
            parameters[static_cast<size_t>(a * species_count + b) * block + i];
  species_energy.assign(parameters + radial_count(), parameters + radial_count() + species_count);
  scalar_coefficient.assign(parameters + radial_count() + species_count, parameters + parameter_count());

  moment_energy.assign(static_cast<size_t>(moment_count), 0.0);
  for (size_t s = 0; s < scalar_moment.size(); ++s)
    moment_energy[static_cast<size_t>(scalar_moment[s])] += scalar_coefficient[s];
  leaf_coefficient.resize(leaf.target.size());
  for (size_t t = 0; t < leaf.target.size(); ++t)
    leaf_coefficient[t] = moment_energy[static_cast<size_t>(leaf.target[t])];
  for (size_t i = 0; i < leaf_terms.size(); ++i) {
    double weight = 0.0;
    for (const LeafTerm& term : leaf_terms[i])
      weight += leaf_coefficient[static_cast<size_t>(term.leaf)] * term.multiplicity;
    leaf_energy.weight[i] = weight;
  }
}

}  // namespace mtpcore
