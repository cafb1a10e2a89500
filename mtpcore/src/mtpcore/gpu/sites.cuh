// Energies, forces and virials of atoms, or the derivatives of their energies by the parameters.
//
// A block works on kTile atoms. Its threads are dealt to neighbours where neighbours are independent (radial functions,
// forces), to monomials where neighbours are summed (basic moments), and to shares of the products of moments, kTile
// atoms side by side and kSide of them in a thread, where moments are contracted. Neighbours are taken kThreads at a
// time, so that shared memory does not depend on their number: mostly a block has one such part, which is kept from the
// way forwards to the way back. Every sum goes on from one part to the next in the order of the list: which atoms share
// a block changes no bit.
#pragma once

#include "device.cuh"

constexpr int kSide = kTile >= 2 ? 2 : 1, kSides = kTile / kSide;
#define BOUNDS kThreads, kBlocks  // so that as many blocks run side by side as shared memory leaves room for
constexpr int kThreads = kWorkers * kSides, kAtomThreads = kThreads / kTile;
constexpr int kRounds = (kColumns + kAtomThreads - 1) / kAtomThreads;
constexpr int kRadialParameters = kSpecies * kRadial * kRadialSize;
constexpr int kEnergyShares = 8;  // of an atom, that are left to be summed at the end
constexpr int kForceShares = 4;   // in which what an atom's neighbours push it with is summed

// What is kept of a neighbour: f, the unit vector, 1/r and df/dr; then either the force as integers and the separation,
// or dE/df, the radial polynomials and the species. Its powers (1, then those of y and z) are kept for a while.
CONSTANT int largest(int a, int b) { return a > b ? a : b; }
constexpr int kEven = kRadial + kRadial % 2, kUnit = kEven, kInverse = kUnit + 3, kSlope = kUnit + 4;
constexpr int kKindAt = kRadial + kRadialSize, kAway = 3 * sizeof(long long) / sizeof(Real);
constexpr int kPowers = (1 + 2 * kDegree) | 1;

// What is kept in shared memory is `Real`, a double or, in mixed precision, a float; places, distances, radial functions,
// forces and sums over atoms are doubles or whole numbers in either case. It begins with slots of a number for each of the
// block's atoms: moments, adjoints, pieces of sums, leaves. An entry of a sum says which slots are multiplied, by what,
// and at the sum's end where it goes, in units of what a thread works on. Sums of products of moments have whole weights.
constexpr unsigned kGoesOn = 0xffffu;
struct ALIGNED(8) Product {
  unsigned factors, target_and_weight;  // 16 bits each, the first the lower
  DEVICE_MEMBER unsigned target() const { return target_and_weight & 0xffffu; }
  DEVICE_MEMBER Real weight() const { return static_cast<Real>(static_cast<int>(target_and_weight) >> 16); }
};
struct ALIGNED(16) Weighted {
  unsigned factor, where;
  double by;
  DEVICE_MEMBER unsigned target() const { return where; }
};
using Side = Numbers<Real, kSide>;
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

// Where a block keeps what; leaves only where they are held one by one. Powers of neighbours lie where later the adjoints
// and the scratch places are.
struct Shared {
  Real *moment, *record, *power, *adjoint, *scratch;
  double* energy;
  unsigned short* pair;
  int* offset;
  unsigned* mask;
  DEVICE_MEMBER Shared(double* memory, int leaves, int capacity) {
    moment = reinterpret_cast<Real*>(memory);
    power = adjoint = moment + kMoments * kTile;
    scratch = moment + kScratchSlot * kTile;
    record = moment + (kLeafSlot + leaves + leaves % 2) * kTile;  // at a multiple of 16 bytes
    energy = reinterpret_cast<double*>(record + kRecord * kThreads);
    offset = reinterpret_cast<int*>(energy + kEnergyShares * kTile);
    mask = reinterpret_cast<unsigned*>(offset + kTile + 1);
    pair = reinterpret_cast<unsigned short*>(mask + kTile * ((capacity + 31) / 32));
  }
};

template <int kCount>
DEVICE void read_pairs(const Real* from, Real* to) {
  UNROLL
  for (int k = 0; k < kCount / 2; ++k) {
    const Numbers<Real, 2> pair = reinterpret_cast<const Numbers<Real, 2>*>(from)[k];
    to[2 * k] = pair.of[0];
    to[2 * k + 1] = pair.of[1];
  }
}
DEVICE Side* slot_of(Real* array, int slot) { return reinterpret_cast<Side*>(array + slot * kTile); }

// Sums that several workers share: slot = [what is there +] the sum of their pieces.
template <bool kAdd>
DEVICE void join_pieces(const Stage& stage, const int* fixes, Real* slots) {
  if (stage.fixes == 0) return;
  phase([&](int t) {
    const int atom = t % kTile;
    for (int f = t / kTile; f < stage.fixes; f += kAtomThreads) {
      const int* fix = fixes + 3 * (stage.first_fix + f);
      Real sum = kAdd ? slots[fix[0] * kTile + atom] : Real(0);
      for (int k = 0; k < fix[2]; ++k) sum += slots[(fix[1] + k) * kTile + atom];
      slots[fix[0] * kTile + atom] = sum;
    }
  });
}

DEVICE Side term_of(const Product& entry, const SharedPlaces<Real, kSide>& slots) {
  Side left = slots.get(entry.factors & 0xffffu);
  const Side right = slots.get(entry.factors >> 16);
  const Real weight = entry.weight();
  UNROLL
  for (int x = 0; x < kSide; ++x) left.of[x] *= weight * right.of[x];
  return left;
}
DEVICE Side term_of(const Weighted& entry, const SharedPlaces<Real, kSide>& slots) {
  Side term = slots.get(entry.factor);
  UNROLL
  for (int x = 0; x < kSide; ++x) term.of[x] *= static_cast<Real>(entry.by);
  return term;
}

// Sums, each put into its slot [added to what is there]. Entries are read kAhead steps ahead: the steps of a stage are a
// multiple of these, and there are kAhead more at the end.
template <bool kAdd, class Entry>
DEVICE void run_stage(const Stage& stage, const Entry* entries, const int* fixes, Real* slots) {
  phase([&](int t) {
    const SharedPlaces<Real, kSide> own(slots + t % kSides * kSide);
    const Entry* entry = entries + stage.first_step * kWorkers + t / kSides;
    Side sum = {};
    Entry ahead[kAhead];
    UNROLL
    for (int k = 0; k < kAhead; ++k) ahead[k] = load(entry + k * kWorkers);
    for (int begin = 0; begin < stage.steps; begin += kAhead) {
      entry += kAhead * kWorkers;
      UNROLL
      for (int k = 0; k < kAhead; ++k) {
        const Entry e = ahead[k];
        ahead[k] = load(entry + k * kWorkers);
        const Side term = term_of(e, own);
        UNROLL
        for (int x = 0; x < kSide; ++x) sum.of[x] += term.of[x];
        if (e.target() == kGoesOn) continue;
        if (kAdd && e.target() < kScratchSlot * kSides) {  // not a piece of a sum that workers share
          const Side there = own.get(e.target());
          UNROLL
          for (int x = 0; x < kSide; ++x) sum.of[x] += there.of[x];
        }
        own.put(e.target(), sum);
        sum = {};
      }
    }
  });
  join_pieces<kAdd>(stage, fixes, slots);
}

// dE/df (pull) and dE/d(unit vector) of one neighbour, from dE/d(basic moments).
#define ADJOINT(moment) adjoint[(moment) * kTile]
DEVICE void pull_back(const Real* adjoint, Real x, Real y, Real z, const Real* f, Real* pull, Real* gradient) {
  Real gx = 0, gy = 0, gz = 0;
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
  const int* order;  // the atoms to work on; null: all in turn
  int count;
  double min_dist, max_dist, scaling;
  const double* radial;          // [mu][k][centre, neighbour]
  const double* species_energy;  // [species]
  const double* moment_energy;   // [moment]: coefficients of scalars that are no leaves
  const Product* forward;
  const int* forward_fixes;
  const Weighted* leaf;
  const int* leaf_fixes;
  const Product* backward;
  const int* backward_fixes;
};

DEVICE int atom_at(const Sites& in, int place) { return in.order ? in.order[place] : place; }

// A neighbour of the block is kept as its place in the list of its atom, and which atom of the block that is.
DEVICE int listed_place(int pair) { return pair / kTile; }
DEVICE int tile_atom(int pair) { return pair % kTile; }
DEVICE unsigned listed_entry(const Sites& in, int i, int pair) {
  return in.list[static_cast<long long>(i) * in.capacity + listed_place(pair)];
}

// Finds the neighbours of the block's atoms among the entries of their lists, in the order of these.
DEVICE void find_neighbors(const Sites& in, const Shared& s) {
  const int words = (in.capacity + 31) / 32, first = block_index() * kTile;
  phase([&](int t) {
    const int a = t / kAtomThreads, lane = t % kAtomThreads;
    const int i = first + a < in.count ? atom_at(in, first + a) : -1, listed = i < 0 ? 0 : in.list_count[i];
    constexpr int kAtOnce = 2;  // so that loads wait for one another less
    for (int begin = 0; begin < 32 * words; begin += kAtOnce * kAtomThreads) {
      bool is_near[kAtOnce];
      UNROLL
      for (int u = 0; u < kAtOnce; ++u) {
        const int k = begin + u * kAtomThreads + lane;
        const unsigned entry = k < listed ? in.list[static_cast<long long>(i) * in.capacity + k] : kHome;
        const Separation r = k < listed ? separation(in.places, in.cells + 9 * in.system[i], i, entry) : kFar;
        is_near[u] = square(r) < in.max_dist * in.max_dist;
      }
      UNROLL
      for (int u = 0; u < kAtOnce; ++u) {
        const int k = begin + u * kAtomThreads + lane;
        if (k < 32 * words) vote(&s.mask[a * words + k / 32], k % 32, is_near[u]);
      }
    }
  });
  phase([&](int t) {
    const int a = t / kAtomThreads;
    int before = 0;
    for (int w = 0; w < a * words; ++w) before += bit_count(s.mask[w]);
    if (t % kAtomThreads == 0) s.offset[a] = before;
    const unsigned* mask = s.mask + a * words;
    for (int w = 0; w < words; ++w) {
      for (int bit = t % kAtomThreads; bit < 32; bit += kAtomThreads)
        if (mask[w] >> bit & 1u)
          s.pair[before + bit_count(mask[w] & ((1u << bit) - 1u))] =
              static_cast<unsigned short>((32 * w + bit) * kTile + a);
      before += bit_count(mask[w]);
    }
    if (t == kThreads - 1) s.offset[kTile] = before;
  });
}

// The radial functions and powers of one part of the neighbours.
template <bool kWithPowers>
DEVICE void fill_records(const Sites& in, const Shared& s, int part) {
  phase([&](int t) {
    const int p = part * kThreads + t;
    if (p >= s.offset[kTile]) return;
    const int i = atom_at(in, block_index() * kTile + tile_atom(s.pair[p]));
    const unsigned entry = listed_entry(in, i, s.pair[p]);
    const Place from = place_of(in.places, i), to = place_of(in.places, atom_of(entry));
    const Separation d = separation(from, to, in.cells + 9 * in.system[i], entry);
    const double squared = square(d), inverse = inverse_root(squared), r = squared * inverse;
    Radial q;
    radial_basis(r, in.min_dist, in.max_dist, in.scaling, &q);
    const int kinds = static_cast<int>(from.species) * kSpecies + static_cast<int>(to.species);
    Real* record = s.record + t * kRecord;
    const double* coefficient = in.radial + kinds;
    UNROLL_BY(2)
    for (int mu = 0; mu < kRadial; ++mu) {
      double value = 0.0, slope = 0.0;
      UNROLL
      for (int k = 0; k < kRadialSize; ++k, coefficient += kSpecies * kSpecies) {
        const double c = load_lasting(coefficient);
        value += c * q.value[k];
        slope += c * q.slope[k];
      }
      record[mu] = static_cast<Real>(value);
      record[kSlope + mu] = static_cast<Real>(slope);
    }
    record[kInverse] = static_cast<Real>(inverse);
    const double unit[3] = {d.x * inverse, d.y * inverse, d.z * inverse};
    for (int axis = 0; axis < 3; ++axis) record[kUnit + axis] = static_cast<Real>(unit[axis]);
    if (!kWithPowers) return;
    Real* powers = s.power + t * kPowers;
    powers[0] = 1;
    for (int axis = 0; axis < 2; ++axis) {
      double power = 1.0;
      UNROLL
      for (int k = 1; k <= kDegree; ++k) powers[axis * kDegree + k] = static_cast<Real>(power *= unit[1 + axis]);
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

// Basic moments: a thread has a column of an atom, that is, powers of y and z with all powers of x, and all their radial
// functions; perhaps another one in a later round. Columns are sorted, so that the first of a round says how many powers of
// x and functions there are at most.
DEVICE bool is_needed(int round, int x, int mu) { return mu < degree_radial(round_degree(round) + x); }
DEVICE void add_moments(const Shared& s, int part) {
  phase([&](int t) {
    const int a = t / kAtomThreads, begin = part_begin(s, a, part), end = part_end(s, a, part);
    UNROLL
    for (int round = 0; round < kRounds; ++round) {
      const Column column = kColumnTable[t % kAtomThreads + round * kAtomThreads];
      Real sum[kDegree + 1][kRadial];
      UNROLL
      for (int k = 0; k <= kDegree; ++k) {
        UNROLL
        for (int mu = 0; mu < kRadial; ++mu)
          if (is_needed(round, k, mu))
            sum[k][mu] = part > 0 && mu < column.radial[k] ? s.moment[(column.basic[k] + mu) * kTile + a] : Real(0);
      }
      const Real *record = s.record + begin * kRecord, *y = s.power + begin * kPowers + column.y,
                 *z = s.power + begin * kPowers + column.z;
      UNROLL_BY(2)
      for (int p = begin; p < end; ++p) {
        Real own[kUnit + 2], value = *y * *z;
        read_pairs<kUnit + 2>(record, own);
        UNROLL
        for (int k = 0; k <= kDegree; ++k) {
          UNROLL
          for (int mu = 0; mu < kRadial; ++mu)
            if (is_needed(round, k, mu)) sum[k][mu] += own[mu] * value;
          if (is_needed(round, k + 1, 0)) value *= own[kUnit];
        }
        record += kRecord;
        y += kPowers;
        z += kPowers;
      }
      UNROLL
      for (int k = 0; k <= kDegree; ++k) {
        UNROLL
        for (int mu = 0; mu < kRadial; ++mu)
          if (is_needed(round, k, mu) && mu < column.radial[k])
            s.moment[(column.basic[k] + mu) * kTile + a] = sum[k][mu];
      }
    }
  });
}

// Moments, adjoints and shares of the site energies, at the head of the scratch memory.
DEVICE void contract(const Sites& in, const Shared& s) {
  for (int k = 0; k < kForwardStages; ++k)
    run_stage<false>(kForward[k], in.forward, in.forward_fixes, s.moment);
  for (int k = 0; k < kLeafStages; ++k)
    run_stage<false>(kLeaf[k], in.leaf, in.leaf_fixes, s.moment);
  phase([&](int t) {
    const int first = t % kSides * kSide;
    Side sum = {};
    for (int m = t / kSides; m < kMoments; m += kWorkers) {
      const double own = in.moment_energy[m];
      const Side moment = *slot_of(s.moment + first, m);
      Side* adjoint = slot_of(s.adjoint + first, m);
      const Side leaves = *adjoint;
      UNROLL
      for (int x = 0; x < kSide; ++x) {
        sum.of[x] += static_cast<Real>(moment.of[x] * (own + 0.5 * leaves.of[x]));
        adjoint->of[x] = static_cast<Real>(own + leaves.of[x]);
      }
    }
    *slot_of(s.scratch + first, t / kSides) = sum;
  });
  phase([&](int t) {
    if (t >= kEnergyShares * kTile) return;
    double sum = 0.0;
    for (int k = 0; k < kWorkers / kEnergyShares; ++k) sum += s.scratch[k * kEnergyShares * kTile + t];
    s.energy[t] = sum;
  });
}

DEVICE void contract_back(const Sites& in, const Shared& s) {
  for (int k = 0; k < kBackwardStages; ++k)
    run_stage<true>(kBackward[k], in.backward, in.backward_fixes, s.moment);
}

// Forces of one part of the neighbours; the record then holds the integers added and the separation. Flags of
// each system say whether a force was out of bounds, and whether a pair was closer than min_dist.
DEVICE void pull_forces(const Sites& in, const Shared& s, int part, long long* force, int* flags) {
  phase([&](int t) {
    const int p = part * kThreads + t;
    if (p >= s.offset[kTile]) return;
    Real* record = s.record + t * kRecord;
    const int a = tile_atom(s.pair[p]);
    Real own[kSlope + kEven], pull[kRadial], gradient[3];
    read_pairs<kSlope + kEven>(record, own);
    const double inverse = own[kInverse], unit[3] = {own[kUnit], own[kUnit + 1], own[kUnit + 2]};
    pull_back(s.adjoint + a, own[kUnit], own[kUnit + 1], own[kUnit + 2], own, pull, gradient);
    double along = 0.0;
    UNROLL
    for (int mu = 0; mu < kRadial; ++mu) along += pull[mu] * own[kSlope + mu];
    const double dot = gradient[0] * unit[0] + gradient[1] * unit[1] + gradient[2] * unit[2];
    const int j = atom_of(listed_entry(in, atom_at(in, block_index() * kTile + a), s.pair[p]));
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
      record[kAway + d] = static_cast<Real>(unit[d] / inverse);
    }
  });
}

// Site energy, what an atom's neighbours push it with, and its share of the virial -dE/d(strain) (xx, yy, zz, yz, xz, xy).
DEVICE void sum_up(const Sites& in, const Shared& s, int part, double* site_energy, long long* force, double* virial) {
  phase([&](int t) {
    for (int task = t; task < (7 + 3 * kForceShares) * kTile; task += kThreads) {
      const int a = task % kTile, what = task / kTile;
      if (block_index() * kTile + a >= in.count) continue;
      const int i = atom_at(in, block_index() * kTile + a), end = part_end(s, a, part);
      if (what == 6) {
        if (part > 0) continue;
        double energy = in.species_energy[static_cast<int>(in.places[4 * static_cast<long long>(i) + 3])];
        for (int k = 0; k < kEnergyShares; ++k) energy += s.energy[k * kTile + a];
        site_energy[i] = energy;
        continue;
      }
      if (what > 6) {  // whole numbers: shares add up to the same in any order
        const int axis = (what - 7) % 3, share = (what - 7) / 3;
        long long whole = 0;
        for (int p = part_begin(s, a, part) + share; p < end; p += kForceShares)
          whole += reinterpret_cast<const long long*>(s.record + p * kRecord)[axis];
        add_integer(&force[3 * static_cast<long long>(i) + axis], whole);
      } else if (virial) {
        const int row = what < 3 ? what : (what == 3 ? 1 : 0), column = what < 3 ? what : (what == 5 ? 1 : 2);
        double* own = &virial[6 * static_cast<long long>(i) + what];
        double sum = part > 0 ? *own : 0.0;
        for (int p = part_begin(s, a, part); p < end; ++p) {
          const Real* record = s.record + p * kRecord;
          sum -= static_cast<double>(reinterpret_cast<const long long*>(record)[row]) / kForceUnit * record[kAway + column];
        }
        *own = sum;
      }
    }
  });
}

KERNEL(site_forces, BOUNDS,
       (const double* places, const double* cells, const int* system, const unsigned* list, const int* list_count,
        int capacity, const int* order, int count, double min_dist, double max_dist, double scaling,
        const double* radial, const double* species_energy, const double* moment_energy, const Product* forward,
        const int* forward_fixes, const Weighted* leaf, const int* leaf_fixes, const Product* backward,
        const int* backward_fixes, double* site_energy, long long* force, double* virial, int* flags),
       (places, cells, system, list, list_count, capacity, order, count, min_dist, max_dist, scaling, radial,
        species_energy, moment_energy, forward, forward_fixes, leaf, leaf_fixes, backward, backward_fixes, site_energy,
        force, virial, flags)) {
  const Sites in = {places, cells, system, list, list_count, capacity, order, count, min_dist, max_dist, scaling,
                    radial, species_energy, moment_energy, forward, forward_fixes, leaf, leaf_fixes, backward,
                    backward_fixes};
  const Shared s(shared_memory(), 0, capacity);
  find_neighbors(in, s);
  const int parts = (s.offset[kTile] + kThreads - 1) / kThreads;
  for (int part = 0; part == 0 || part < parts; ++part) {
    fill_records<true>(in, s, part);
    add_moments(s, part);
  }
  contract(in, s);
  contract_back(in, s);
  for (int part = 0; part == 0 || part < parts; ++part) {
    if (parts > 1) fill_records<false>(in, s, part);
    pull_forces(in, s, part, force, flags);
    sum_up(in, s, part, site_energy, force, virial);
  }
}

// dE/df, the radial polynomials and the species of one part of the neighbours.
DEVICE void pull_rows(const Sites& in, const Shared& s, int part) {
  phase([&](int t) {
    const int p = part * kThreads + t;
    if (p >= s.offset[kTile]) return;
    Real* record = s.record + t * kRecord;
    const int a = tile_atom(s.pair[p]);
    Real own[kSlope], pull[kRadial], gradient[3];
    read_pairs<kSlope>(record, own);
    pull_back(s.adjoint + a, own[kUnit], own[kUnit + 1], own[kUnit + 2], own, pull, gradient);
    Radial q;
    radial_basis(1.0 / own[kInverse], in.min_dist, in.max_dist, in.scaling, &q);
    const unsigned entry = listed_entry(in, atom_at(in, block_index() * kTile + a), s.pair[p]);
    for (int mu = 0; mu < kRadial; ++mu) record[mu] = pull[mu];
    UNROLL
    for (int k = 0; k < kRadialSize; ++k) record[kRadial + k] = static_cast<Real>(q.value[k]);
    record[kKindAt] = static_cast<Real>(in.places[4 * static_cast<long long>(atom_of(entry)) + 3]);
  });
}

// rows[atom][depth]: d(site energy)/d(radial coefficients of the centre's species, its constant, scalars).
KERNEL(site_rows, BOUNDS,
       (const double* places, const double* cells, const int* system, const unsigned* list, const int* list_count,
        int capacity, const int* order, int count, double min_dist, double max_dist, double scaling,
        const double* radial, const double* species_energy, const double* moment_energy, const Product* forward,
        const int* forward_fixes, const Weighted* leaf, const int* leaf_fixes, const Product* backward,
        const int* backward_fixes, const Product* leaf_values, const int* leaf_values_fixes, const int* scalar_slot,
        double* rows),
       (places, cells, system, list, list_count, capacity, order, count, min_dist, max_dist, scaling, radial,
        species_energy, moment_energy, forward, forward_fixes, leaf, leaf_fixes, backward, backward_fixes, leaf_values,
        leaf_values_fixes, scalar_slot, rows)) {
  const Sites in = {places, cells, system, list, list_count, capacity, order, count, min_dist, max_dist, scaling,
                    radial, species_energy, moment_energy, forward, forward_fixes, leaf, leaf_fixes, backward,
                    backward_fixes};
  const Shared s(shared_memory(), kLeaves, capacity);
  find_neighbors(in, s);
  const int parts = (s.offset[kTile] + kThreads - 1) / kThreads;
  for (int part = 0; part == 0 || part < parts; ++part) {
    fill_records<true>(in, s, part);
    add_moments(s, part);
  }
  contract(in, s);
  contract_back(in, s);
  for (int k = 0; k < kLeafValueStages; ++k)
    run_stage<false>(kLeafValues[k], leaf_values, leaf_values_fixes, s.moment);
  phase([&](int t) {
    for (int task = t; task < kDepth * kTile; task += kThreads) {
      const int a = task / kDepth, place = task % kDepth, at = block_index() * kTile + a;
      if (at >= count) continue;
      double value = place == kRadialParameters ? 1.0 : 0.0;
      if (place > kRadialParameters) value = s.moment[scalar_slot[place - kRadialParameters - 1] * kTile + a];
      rows[static_cast<long long>(at) * kDepth + place] = value;
    }
  });
  for (int part = 0; part < parts; ++part) {
    if (parts > 1) fill_records<false>(in, s, part);
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
          const Real* record = s.record + p * kRecord;
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
