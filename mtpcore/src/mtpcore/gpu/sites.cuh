// Energies, forces and virials of atoms, or the derivatives of their energies by the parameters.
//
// A block works on kTile atoms. Its threads are dealt to neighbours where neighbours are independent (radial functions,
// forces), to monomials where neighbours are summed (basic moments), and to shares of the products of moments, kTile
// atoms side by side, where moments are contracted. Neighbours are taken kThreads at a time, so that shared memory does
// not depend on their number: mostly a block has one such part, which is kept from the way forwards to the way back.
// Every sum goes on from one part to the next in the order of the list: which atoms share a block changes no bit.
#pragma once

#include "device.cuh"

constexpr int kWorkers = 32, kThreads = kWorkers * kTile;
constexpr int kMonomialThreads = kMonomials <= 16 ? 16 : (kMonomials + 31) / 32 * 32;
constexpr int kPowers = 1 + 3 * kDegree;  // 1, then powers of x, y and z
constexpr int kRadialParameters = kSpecies * kRadial * kRadialSize;

// A neighbour's record in shared memory. On the way forwards: f, df/dr, 1/r, powers. On the way back either the force
// as integers and the separation, or dE/df, the radial polynomials and the species.
CONSTANT int largest(int a, int b) { return a > b ? a : b; }
constexpr int kInverse = 2 * kRadial, kPowersAt = kInverse + 1;
constexpr int kKindAt = kRadial + kRadialSize;
constexpr int kRecord = largest(largest(kPowersAt + kPowers, kKindAt + 1), 6) | 1;  // odd: no two threads share a bank

struct Entry {
  unsigned pair;
  float factor;  // below 0: the last of a piece
};
struct Radial {
  double value[kRadialSize], slope[kRadialSize];
};

// Chebyshev values and derivatives with the smooth cutoff, T_k(s) scaling (max_dist - r)^2.
DEVICE void radial_basis(double r, double min_dist, double max_dist, double scaling, Radial* q) {
  const double slope = 2.0 / (max_dist - min_dist);
  const double s = (2.0 * r - (min_dist + max_dist)) / (max_dist - min_dist);
  const double gap = max_dist - r;
  const double cut = scaling * gap * gap, dcut = -2.0 * scaling * gap;
  double t0 = 1.0, t1 = s, d0 = 0.0, d1 = slope;
  q->value[0] = cut;
  q->slope[0] = dcut;
  UNROLL
  for (int k = 1; k < kRadialSize; ++k) {
    q->value[k] = t1 * cut;
    q->slope[k] = d1 * cut + t1 * dcut;
    const double t2 = 2.0 * s * t1 - t0, d2 = 2.0 * (slope * t1 + s * d1) - d0;
    t0 = t1;
    t1 = t2;
    d0 = d1;
    d1 = d2;
  }
}

// Where a block keeps what; `moments` counts those held one by one.
struct Shared {
  double *moment, *adjoint, *scratch, *record;
  int *pair, *offset;
  unsigned* mask;
  DEVICE_MEMBER Shared(double* memory, int moments, int scratch_places, int capacity) {
    moment = memory;
    adjoint = moment + moments * kTile;
    scratch = adjoint + kMoments * kTile;
    record = scratch + (scratch_places > kWorkers ? scratch_places : kWorkers) * kTile;
    pair = reinterpret_cast<int*>(record + kRecord * kThreads);
    offset = pair + kTile * capacity;
    mask = reinterpret_cast<unsigned*>(offset + kTile + 1);
  }
};

// Sums that several workers share: out (target) = or += the sum of their pieces.
template <bool kAdd>
DEVICE void join_pieces(const Stage& stage, const int* fixes, double* out, const double* scratch) {
  if (stage.fixes == 0) return;
  phase([&](int t) {
    const int atom = t % kTile;
    for (int f = t / kTile; f < stage.fixes; f += kWorkers) {
      const int* fix = fixes + 3 * (stage.first_fix + f);
      double sum = 0.0;
      for (int k = 0; k < fix[2]; ++k) sum += scratch[(fix[1] + k) * kTile + atom];
      if (kAdd)
        out[fix[0] * kTile + atom] += sum;
      else
        out[fix[0] * kTile + atom] = sum;
    }
  });
}

// Rows of sums: out (target) = or += sum of factor * left (first index) * right (second index).
template <bool kAdd>
DEVICE void run_stage(const Stage& stage, const Entry* entries, const int* pieces, const int* fixes, const double* left,
                      const double* right, double* out, double* scratch) {
  phase([&](int t) {
    const int atom = t % kTile, worker = t / kTile;
    const Entry* entry = entries + stage.first_step * kWorkers + worker;
    int next = pieces[stage.pieces + worker];
    double sum = 0.0;
    for (int step = 0; step < stage.steps; ++step, entry += kWorkers) {
      const Entry e = *entry;
      sum += static_cast<double>(fabs(e.factor)) * left[(e.pair & 0xffffu) * kTile + atom] *
             right[(e.pair >> 16) * kTile + atom];
      if (e.factor < 0.0f) {
        const int target = pieces[next++];
        if (target < 0)
          scratch[(-1 - target) * kTile + atom] = sum;
        else if (kAdd)
          out[target * kTile + atom] += sum;
        else
          out[target * kTile + atom] = sum;
        sum = 0.0;
      }
    }
  });
  join_pieces<kAdd>(stage, fixes, out, scratch);
}

// adjoint (target) = sum of weight * moment: what leaves give.
DEVICE void run_leaves(const Stage& stage, const unsigned* entries, const double* weights, const int* pieces,
                       const int* fixes, const double* moment, double* adjoint, double* scratch) {
  phase([&](int t) {
    const int atom = t % kTile, worker = t / kTile;
    int at = stage.first_step * kWorkers + worker, next = pieces[stage.pieces + worker];
    double sum = 0.0;
    for (int step = 0; step < stage.steps; ++step, at += kWorkers) {
      const unsigned entry = entries[at];
      sum += weights[at] * moment[(entry & 0xffffu) * kTile + atom];
      if (entry >> 31) {
        const int target = pieces[next++];
        (target < 0 ? scratch[(-1 - target) * kTile + atom] : adjoint[target * kTile + atom]) = sum;
        sum = 0.0;
      }
    }
  });
  join_pieces<false>(stage, fixes, adjoint, scratch);
}

// dE/df (pull) and dE/d(unit vector) of one neighbour, from dE/d(basic moments).
DEVICE void pull_back(const double* adjoint, double x, double y, double z, const double* f, double* pull,
                      double* gradient) {
  double px[kDegree + 1], py[kDegree + 1];
  px[0] = py[0] = 1.0;
  UNROLL
  for (int k = 1; k <= kDegree; ++k) {
    px[k] = px[k - 1] * x;
    py[k] = py[k - 1] * y;
  }
  double gx = 0.0, gy = 0.0, gz = 0.0;
  PULL_BACK
  gradient[0] = gx;
  gradient[1] = gy;
  gradient[2] = gz;
}

struct Sites {
  const double *places, *cells;  // [atom][4]: x, y, z, species; [system][9]
  const int* system;             // [atom]
  const unsigned* list;          // [atom][capacity]
  const int* list_count;         // [atom]
  int capacity;
  const int* order;  // the atoms to work on
  int count;
  double min_dist, max_dist, scaling;
  const double* radial;          // [mu][k][centre, neighbour]
  const double* species_energy;  // [species]
  const double* moment_energy;   // [moment]: coefficients of scalars that are no leaves
  const Entry* forward;
  const int *forward_pieces, *forward_fixes;
  const unsigned* leaf;
  const double* leaf_weight;
  const int *leaf_pieces, *leaf_fixes;
  const Entry* backward;
  const int *backward_pieces, *backward_fixes;
  const Entry* leaf_values;
  const int *leaf_values_pieces, *leaf_values_fixes, *scalar_moment;
};

// Finds the neighbours of the block's atoms among the entries of their lists, in the order of these.
DEVICE void find_neighbors(const Sites& in, const Shared& s) {
  const int words = (in.capacity + 31) / 32, first = block_index() * kTile;
  const auto is_listed = [&](int q, int* atom) {
    const int a = q / in.capacity;
    if (first + a >= in.count) return false;
    *atom = in.order[first + a];
    return q % in.capacity < in.list_count[*atom];
  };
  phase([&](int t) {
    for (int w = t; w < kTile * words; w += kThreads) s.mask[w] = 0u;
    for (int m = t; m < kMoments * kTile; m += kThreads) s.adjoint[m] = 0.0;
    for (int m = t; m < kBasics * kTile; m += kThreads) s.moment[m] = 0.0;
  });
  phase([&](int t) {
    for (int q = t; q < kTile * in.capacity; q += kThreads) {
      int i;
      if (!is_listed(q, &i)) continue;
      const unsigned entry = in.list[static_cast<long long>(i) * in.capacity + q % in.capacity];
      const Separation r = separation(in.places, in.cells + 9 * in.system[i], i, entry);
      const int k = q % in.capacity;
      if (square(r) < in.max_dist * in.max_dist) set_bits(&s.mask[q / in.capacity * words + k / 32], 1u << (k % 32));
    }
  });
  phase([&](int t) {
    if (t != 0) return;
    int total = 0;
    for (int a = 0; a < kTile; ++a) {
      s.offset[a] = total;
      for (int w = 0; w < words; ++w) total += bit_count(s.mask[a * words + w]);
    }
    s.offset[kTile] = total;
  });
  phase([&](int t) {
    for (int q = t; q < kTile * in.capacity; q += kThreads) {
      const int a = q / in.capacity, k = q % in.capacity;
      const unsigned* mask = s.mask + a * words;
      if (!(mask[k / 32] >> (k % 32) & 1u)) continue;
      int rank = bit_count(mask[k / 32] & ((1u << (k % 32)) - 1u));
      for (int w = 0; w < k / 32; ++w) rank += bit_count(mask[w]);
      s.pair[s.offset[a] + rank] = q;
    }
  });
}

// The radial functions and powers of one part of the neighbours.
DEVICE void fill_records(const Sites& in, const Shared& s, int part) {
  phase([&](int t) {
    const int p = part * kThreads + t;
    if (p >= s.offset[kTile]) return;
    const int a = s.pair[p] / in.capacity, i = in.order[block_index() * kTile + a];
    const unsigned entry = in.list[static_cast<long long>(i) * in.capacity + s.pair[p] % in.capacity];
    const Separation d = separation(in.places, in.cells + 9 * in.system[i], i, entry);
    const double r = sqrt(square(d)), inverse = 1.0 / r;
    Radial q;
    radial_basis(r, in.min_dist, in.max_dist, in.scaling, &q);
    const int kinds = static_cast<int>(in.places[4 * static_cast<long long>(i) + 3]) * kSpecies +
                      static_cast<int>(in.places[4 * static_cast<long long>(atom_of(entry)) + 3]);
    double* record = s.record + t * kRecord;
    const double* coefficient = in.radial + kinds;
    for (int mu = 0; mu < kRadial; ++mu) {
      double value = 0.0, slope = 0.0;
      UNROLL
      for (int k = 0; k < kRadialSize; ++k, coefficient += kSpecies * kSpecies) {
        value += *coefficient * q.value[k];
        slope += *coefficient * q.slope[k];
      }
      record[mu] = value;
      record[kRadial + mu] = slope;
    }
    record[kInverse] = inverse;
    const double unit[3] = {d.x * inverse, d.y * inverse, d.z * inverse};
    double* powers = record + kPowersAt;
    powers[0] = 1.0;
    for (int axis = 0; axis < 3; ++axis) {
      double power = 1.0;
      UNROLL
      for (int k = 1; k <= kDegree; ++k) powers[axis * kDegree + k] = power *= unit[axis];
    }
  });
}

DEVICE int part_begin(const Shared& s, int a, int part) {
  return s.offset[a] > part * kThreads ? s.offset[a] - part * kThreads : 0;
}
DEVICE int part_end(const Shared& s, int a, int part) {
  const int end = s.offset[a + 1] - part * kThreads;
  return end < kThreads ? end : kThreads;
}

// Basic moments: a thread has a monomial of an atom and all its radial functions.
DEVICE void add_moments(const Shared& s, int part) {
  phase([&](int t) {
    for (int task = t; task < kMonomialThreads * kTile; task += kThreads) {
      const int a = task / kMonomialThreads, m = task % kMonomialThreads;
      if (m >= kMonomials) continue;
      const unsigned char* monomial = kMonomialPowers + 4 * m;
      const int radial = monomial[3];
      const int ix = kPowersAt + monomial[0], iy = kPowersAt + (monomial[1] ? kDegree + monomial[1] : 0),
                iz = kPowersAt + (monomial[2] ? 2 * kDegree + monomial[2] : 0);
      double sum[kRadial];
      UNROLL
      for (int mu = 0; mu < kRadial; ++mu) sum[mu] = mu < radial ? s.moment[(kMonomialBasic[m] + mu) * kTile + a] : 0.0;
      const int end = part_end(s, a, part);
      for (int p = part_begin(s, a, part); p < end; ++p) {
        const double* record = s.record + p * kRecord;
        const double value = record[ix] * record[iy] * record[iz];
        UNROLL
        for (int mu = 0; mu < kRadial; ++mu)
          if (mu < radial) sum[mu] += record[mu] * value;
      }
      UNROLL
      for (int mu = 0; mu < kRadial; ++mu)
        if (mu < radial) s.moment[(kMonomialBasic[m] + mu) * kTile + a] = sum[mu];
    }
  });
}

// Moments, adjoints and, at the head of the scratch memory, shares of the site energies.
DEVICE void contract(const Sites& in, const Shared& s) {
  for (int k = 0; k < kForwardStages; ++k)
    run_stage<false>(kForward[k], in.forward, in.forward_pieces, in.forward_fixes, s.moment, s.moment, s.moment,
                     s.scratch);
  for (int k = 0; k < kLeafStages; ++k)
    run_leaves(kLeaf[k], in.leaf, in.leaf_weight, in.leaf_pieces, in.leaf_fixes, s.moment, s.adjoint, s.scratch);
  phase([&](int t) {
    const int atom = t % kTile;
    double sum = 0.0;
    for (int m = t / kTile; m < kMoments; m += kWorkers) {
      const double own = in.moment_energy[m], leaves = s.adjoint[m * kTile + atom];
      sum += s.moment[m * kTile + atom] * (own + 0.5 * leaves);
      s.adjoint[m * kTile + atom] = own + leaves;
    }
    s.scratch[t] = sum;
  });
}

DEVICE void contract_back(const Sites& in, const Shared& s) {
  for (int k = 0; k < kBackwardStages; ++k)
    run_stage<true>(kBackward[k], in.backward, in.backward_pieces, in.backward_fixes, s.adjoint, s.moment, s.adjoint,
                    s.scratch);
}

// Forces of one part of the neighbours; the record then holds the integers added and the separation. Flags of
// each system say whether a force was out of bounds, and whether a pair was closer than min_dist.
DEVICE void pull_forces(const Sites& in, const Shared& s, int part, long long* force, int* flags) {
  phase([&](int t) {
    const int p = part * kThreads + t;
    if (p >= s.offset[kTile]) return;
    double* record = s.record + t * kRecord;
    const double* powers = record + kPowersAt;
    const int a = s.pair[p] / in.capacity;
    const double inverse = record[kInverse];
    double unit[3] = {1.0, 1.0, 1.0}, f[kRadial], pull[kRadial], gradient[3];
    if (kDegree > 0) {
      for (int d = 0; d < 3; ++d) unit[d] = powers[d * kDegree + 1];
    } else {  // no moment has a direction; forces do
      const int i = in.order[block_index() * kTile + a];
      const unsigned entry = in.list[static_cast<long long>(i) * in.capacity + s.pair[p] % in.capacity];
      const Separation r = separation(in.places, in.cells + 9 * in.system[i], i, entry);
      unit[0] = r.x * inverse;
      unit[1] = r.y * inverse;
      unit[2] = r.z * inverse;
    }
    UNROLL
    for (int mu = 0; mu < kRadial; ++mu) {
      f[mu] = record[mu];
      pull[mu] = 0.0;
    }
    pull_back(s.adjoint + a, unit[0], unit[1], unit[2], f, pull, gradient);
    double along = 0.0;
    UNROLL
    for (int mu = 0; mu < kRadial; ++mu) along += pull[mu] * record[kRadial + mu];
    const double dot = gradient[0] * unit[0] + gradient[1] * unit[1] + gradient[2] * unit[2];
    const int j = atom_of(in.list[static_cast<long long>(in.order[block_index() * kTile + a]) * in.capacity +
                                  s.pair[p] % in.capacity]);
    if (inverse * in.min_dist > 1.0) raise_to(&flags[2 * in.system[j] + 1], 1);
    for (int d = 0; d < 3; ++d) {
      double g = along * unit[d] + (gradient[d] - dot * unit[d]) * inverse;
      if (!(fabs(g) < kLargestForce)) {  // NaN, too
        raise_to(&flags[2 * in.system[j]], 1);
        g = 0.0;
      }
      const long long whole = to_integer(g * kForceUnit);
      add_integer(&force[3 * static_cast<long long>(j) + d], -whole);
      reinterpret_cast<long long*>(record)[d] = whole;
      record[3 + d] = unit[d] / inverse;
    }
  });
}

// What an atom's neighbours push it with, and its share of the virial -dE/d(strain) (xx, yy, zz, yz, xz, xy).
DEVICE void sum_forces(const Sites& in, const Shared& s, int part, long long* force, double* virial) {
  phase([&](int t) {
    for (int task = t; task < 9 * kTile; task += kThreads) {
      const int a = task % kTile, what = task / kTile;
      if (block_index() * kTile + a >= in.count) continue;
      const int i = in.order[block_index() * kTile + a], end = part_end(s, a, part);
      const int left = what < 6 ? what : what - 6, row = left < 3 ? left : (left == 3 ? 1 : 0),
                column = left < 3 ? left : (left == 5 ? 1 : 2);
      if (what >= 6) {
        long long whole = 0;
        for (int p = part_begin(s, a, part); p < end; ++p)
          whole += reinterpret_cast<const long long*>(s.record + p * kRecord)[left];
        add_integer(&force[3 * static_cast<long long>(i) + left], whole);
      } else if (virial) {
        double* own = &virial[6 * static_cast<long long>(i) + what];
        double sum = *own;
        for (int p = part_begin(s, a, part); p < end; ++p) {
          const double* record = s.record + p * kRecord;
          sum -= static_cast<double>(reinterpret_cast<const long long*>(record)[row]) / kForceUnit * record[3 + column];
        }
        *own = sum;
      }
    }
  });
}

KERNEL(site_forces, kThreads,
       (const double* places, const double* cells, const int* system, const unsigned* list, const int* list_count,
        int capacity, const int* order, int count, double min_dist, double max_dist, double scaling,
        const double* radial, const double* species_energy, const double* moment_energy, const Entry* forward,
        const int* forward_pieces, const int* forward_fixes, const unsigned* leaf, const double* leaf_weight,
        const int* leaf_pieces, const int* leaf_fixes, const Entry* backward, const int* backward_pieces,
        const int* backward_fixes, double* site_energy, long long* force, double* virial, int* flags),
       (places, cells, system, list, list_count, capacity, order, count, min_dist, max_dist, scaling, radial,
        species_energy, moment_energy, forward, forward_pieces, forward_fixes, leaf, leaf_weight, leaf_pieces,
        leaf_fixes, backward, backward_pieces, backward_fixes, site_energy, force, virial, flags)) {
  const Sites in = {places, cells, system, list, list_count, capacity, order, count, min_dist, max_dist, scaling,
                    radial, species_energy, moment_energy, forward, forward_pieces, forward_fixes, leaf, leaf_weight,
                    leaf_pieces, leaf_fixes, backward, backward_pieces, backward_fixes, nullptr, nullptr, nullptr,
                    nullptr};
  const Shared s(shared_memory(), kMoments, kScratch, capacity);
  find_neighbors(in, s);
  const int parts = (s.offset[kTile] + kThreads - 1) / kThreads;
  for (int part = 0; part < parts; ++part) {
    fill_records(in, s, part);
    add_moments(s, part);
  }
  contract(in, s);
  phase([&](int t) {
    const int at = block_index() * kTile + t;
    if (t >= kTile || at >= count) return;
    const int i = order[at];
    double energy = species_energy[static_cast<int>(places[4 * static_cast<long long>(i) + 3])];
    for (int w = 0; w < kWorkers; ++w) energy += s.scratch[w * kTile + t];
    site_energy[i] = energy;
    if (virial)
      for (int k = 0; k < 6; ++k) virial[6 * static_cast<long long>(i) + k] = 0.0;
  });
  contract_back(in, s);
  for (int part = 0; part < parts; ++part) {
    if (parts > 1) fill_records(in, s, part);
    pull_forces(in, s, part, force, flags);
    sum_forces(in, s, part, force, virial);
  }
}

// dE/df, the radial polynomials and the species of one part of the neighbours.
DEVICE void pull_rows(const Sites& in, const Shared& s, int part) {
  phase([&](int t) {
    const int p = part * kThreads + t;
    if (p >= s.offset[kTile]) return;
    double* record = s.record + t * kRecord;
    const double* powers = record + kPowersAt;
    const int a = s.pair[p] / in.capacity;
    const double r = 1.0 / record[kInverse];
    double unit[3] = {1.0, 1.0, 1.0}, f[kRadial], pull[kRadial], gradient[3];
    if (kDegree > 0)
      for (int d = 0; d < 3; ++d) unit[d] = powers[d * kDegree + 1];
    for (int mu = 0; mu < kRadial; ++mu) {
      f[mu] = record[mu];
      pull[mu] = 0.0;
    }
    pull_back(s.adjoint + a, unit[0], unit[1], unit[2], f, pull, gradient);
    Radial q;
    radial_basis(r, in.min_dist, in.max_dist, in.scaling, &q);
    const unsigned entry = in.list[static_cast<long long>(in.order[block_index() * kTile + a]) * in.capacity +
                                   s.pair[p] % in.capacity];
    for (int mu = 0; mu < kRadial; ++mu) record[mu] = pull[mu];
    UNROLL
    for (int k = 0; k < kRadialSize; ++k) record[kRadial + k] = q.value[k];
    record[kKindAt] = in.places[4 * static_cast<long long>(atom_of(entry)) + 3];
  });
}

// rows[atom][depth]: d(site energy)/d(radial coefficients of the centre's species, its constant, scalars).
KERNEL(site_rows, kThreads,
       (const double* places, const double* cells, const int* system, const unsigned* list, const int* list_count,
        int capacity, const int* order, int count, double min_dist, double max_dist, double scaling,
        const double* radial, const double* species_energy, const double* moment_energy, const Entry* forward,
        const int* forward_pieces, const int* forward_fixes, const unsigned* leaf, const double* leaf_weight,
        const int* leaf_pieces, const int* leaf_fixes, const Entry* backward, const int* backward_pieces,
        const int* backward_fixes, const Entry* leaf_values, const int* leaf_values_pieces,
        const int* leaf_values_fixes, const int* scalar_moment, double* rows),
       (places, cells, system, list, list_count, capacity, order, count, min_dist, max_dist, scaling, radial,
        species_energy, moment_energy, forward, forward_pieces, forward_fixes, leaf, leaf_weight, leaf_pieces,
        leaf_fixes, backward, backward_pieces, backward_fixes, leaf_values, leaf_values_pieces, leaf_values_fixes,
        scalar_moment, rows)) {
  const Sites in = {places, cells, system, list, list_count, capacity, order, count, min_dist, max_dist, scaling,
                    radial, species_energy, moment_energy, forward, forward_pieces, forward_fixes, leaf, leaf_weight,
                    leaf_pieces, leaf_fixes, backward, backward_pieces, backward_fixes, leaf_values,
                    leaf_values_pieces, leaf_values_fixes, scalar_moment};
  const Shared s(shared_memory(), kMoments + kLeaves, kScratch, capacity);
  find_neighbors(in, s);
  const int parts = (s.offset[kTile] + kThreads - 1) / kThreads;
  for (int part = 0; part < parts; ++part) {
    fill_records(in, s, part);
    add_moments(s, part);
  }
  contract(in, s);
  contract_back(in, s);
  for (int k = 0; k < kLeafValueStages; ++k)
    run_stage<false>(kLeafValues[k], in.leaf_values, in.leaf_values_pieces, in.leaf_values_fixes, s.moment, s.moment,
                     s.moment, s.scratch);
  phase([&](int t) {
    for (int task = t; task < kDepth * kTile; task += kThreads) {
      const int a = task / kDepth, place = task % kDepth, at = block_index() * kTile + a;
      if (at >= count) continue;
      double value = place == kRadialParameters ? 1.0 : 0.0;
      if (place > kRadialParameters) value = s.moment[scalar_moment[place - kRadialParameters - 1] * kTile + a];
      rows[static_cast<long long>(at) * kDepth + place] = value;
    }
  });
  for (int part = 0; part < parts; ++part) {
    if (parts > 1) fill_records(in, s, part);
    pull_rows(in, s, part);
    phase([&](int t) {
      for (int task = t; task < kRadialParameters * kTile; task += kThreads) {
        const int a = task / kRadialParameters, place = task % kRadialParameters, at = block_index() * kTile + a;
        if (at >= count) continue;
        const int kind = place / (kRadial * kRadialSize), mu = place / kRadialSize % kRadial, k = place % kRadialSize;
        const int end = part_end(s, a, part);
        double* own = &rows[static_cast<long long>(at) * kDepth + place];
        double sum = *own;
        for (int p = part_begin(s, a, part); p < end; ++p) {
          const double* record = s.record + p * kRecord;
          if (static_cast<int>(record[kKindAt]) == kind) sum += record[mu] * record[kRadial + k];
        }
        *own = sum;
      }
    });
  }
}

// Largest |row . column| over the columns of the inverse active set; atoms of a block are of one species.
constexpr int kGradeTile = 8, kGradeThreads = 128;
KERNEL(site_grades, kGradeThreads,
       (const double* rows, const int* tile_first, const int* tile_count, const int* tile_species, const int* order,
        const double* inverse, int columns, double* grade),
       (rows, tile_first, tile_count, tile_species, order, inverse, columns, grade)) {
  double* lines = shared_memory();  // [depth][kGradeTile], then [thread][kGradeTile]
  const int first = tile_first[block_index()], count = tile_count[block_index()];
  const double* panel = inverse + static_cast<long long>(tile_species[block_index()]) * kDepth * columns;
  double* best = lines + kDepth * kGradeTile;
  phase([&](int t) {
    for (int q = t; q < kDepth * kGradeTile; q += kGradeThreads) {
      const int a = q / kDepth, p = q % kDepth;
      lines[p * kGradeTile + a] = a < count ? rows[static_cast<long long>(first + a) * kDepth + p] : 0.0;
    }
  });
  phase([&](int t) {
    double most[kGradeTile];
    UNROLL
    for (int a = 0; a < kGradeTile; ++a) most[a] = 0.0;
    for (int c = t; c < columns; c += kGradeThreads) {
      double sum[kGradeTile];
      UNROLL
      for (int a = 0; a < kGradeTile; ++a) sum[a] = 0.0;
      for (int p = 0; p < kDepth; ++p) {
        const double weight = panel[static_cast<long long>(p) * columns + c];
        UNROLL
        for (int a = 0; a < kGradeTile; ++a) sum[a] += weight * lines[p * kGradeTile + a];
      }
      UNROLL
      for (int a = 0; a < kGradeTile; ++a) {  // NaN stays NaN: an overflow must not pass for a small grade
        const double size = fabs(sum[a]);
        most[a] = size > most[a] || size != size ? size : most[a];
      }
    }
    UNROLL
    for (int a = 0; a < kGradeTile; ++a) best[t * kGradeTile + a] = most[a];
  });
  phase([&](int t) {
    if (t >= count) return;
    double most = 0.0;
    for (int k = 0; k < kGradeThreads; ++k) {
      const double size = best[k * kGradeTile + t];
      most = size > most || size != size ? size : most;
    }
    grade[order[first + t]] = most;
  });
}
