// Energies, forces and virials of atoms, or the derivatives of their energies by the parameters.
//
// A block works on kTile atoms. Its threads are dealt to neighbours where neighbours are independent (radial functions,
// forces), to monomials where neighbours are summed (basic moments), and to shares of the products of moments, kTile
// atoms side by side and kSide of them in a thread, where moments are contracted. Neighbours are taken kPart at a
// time, so that shared memory does not depend on their number: mostly a block has one such part, which is kept from the
// way forwards to the way back. Where the sums of an atom are interrupted depends on its own neighbours only: which atoms
// share a block changes no bit.
#pragma once

#include "device.cuh"

constexpr int kSide = kTile >= 2 ? 2 : 1, kSides = kTile / kSide;
#define BOUNDS kThreads, kBlocks  // so that as many blocks run side by side as shared memory leaves room for
constexpr int kThreads = kWorkers * kSides, kAtomThreads = kThreads / kTile;
constexpr int kGroups = kAtomThreads / kLanes, kTurns = (kColumns + kLanes - 1) / kLanes;
constexpr int kRadialParameters = kSpecies * kRadial * kRadialSize;
constexpr int kEnergyShares = kThreads / 32;  // of an atom, one of each warp, that are left to be summed at the end
constexpr int kForceShares = 4;                // in which what an atom's neighbours push it with is summed

// What is kept of a neighbour: f, the unit vector, 1/r and df/dr; then either the force as integers and the separation,
// or dE/df, the radial polynomials and the species. Its powers (1, then those of y and z) are kept for a while.
CONSTANT int largest(int a, int b) { return a > b ? a : b; }
constexpr int kEven = kRadial + kRadial % 2, kUnit = kEven, kInverse = kUnit + 3, kSlope = kUnit + 4;
constexpr int kKindAt = kRadial + kRadialSize, kAway = 3 * sizeof(long long) / sizeof(Real);
constexpr int kPowers = (1 + 2 * kDegree) | 1;

// What is kept in shared memory is `Real`, a double or, in mixed precision, a float; places, distances, radial functions,
// forces and sums over atoms are doubles or whole numbers in either case. It begins with slots of a number for each of the
// block's atoms: moments, the number one, adjoints, pieces of sums, leaves. An entry of a sum says which slots are
// multiplied, by what, and at the sum's end where it goes, in units of what a thread works on. Sums of products of moments
// have whole weights. On the way back sums are added to what is in their slot, unless nothing is there yet or they are
// pieces of a sum.
constexpr unsigned kGoesOn = 0xffffu, kSets = 0x8000u, kNoMoment = 0xffffu;
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
struct ALIGNED(8) Fix {  // a sum that several workers share: its slot and where its pieces are
  unsigned short slot, first, count, is_added;
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
  Real *moment, *record, *power, *adjoint;
  double* energy;
  unsigned short* pair;
  int* offset;
  unsigned* mask;
  DEVICE_MEMBER Shared(double* memory, int leaves, int capacity) {
    moment = reinterpret_cast<Real*>(memory);
    power = adjoint = moment + (kOneSlot + 1) * kTile;
    record = moment + (kLeafSlot + leaves + leaves % 2) * kTile;  // at a multiple of 16 bytes
    energy = reinterpret_cast<double*>(record + kRecord * kPart);
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

// Sums, each put into its slot [added to what is there]; then those put together that several workers share. Entries are
// read kAhead steps ahead: the steps of a stage are a multiple of these, and there are kAhead more at the end.
template <bool kAdd, class Entry>
DEVICE void run_stage(const Stage& stage, const Entry* entries, const Fix* fixes, Real* slots) {
  PerThread<Fix, 1> first_fix;
  phase([&](int t) {
    if (t / kTile < stage.fixes) *first_fix.of(t) = load(fixes + stage.first_fix + t / kTile);
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
        if (kAdd && !(e.target() & kSets)) {
          const Side there = own.get(e.target());
          UNROLL
          for (int x = 0; x < kSide; ++x) sum.of[x] += there.of[x];
        }
        own.put(kAdd ? e.target() & ~kSets : e.target(), sum);
        sum = {};
      }
    }
  });
  if (stage.fixes == 0) return;
  phase([&](int t) {
    const int atom = t % kTile;
    for (int f = t / kTile; f < stage.fixes; f += kAtomThreads) {
      const Fix fix = f < kAtomThreads ? *first_fix.of(t) : load(fixes + stage.first_fix + f);
      Real sum = kAdd && fix.is_added ? slots[fix.slot * kTile + atom] : Real(0);
      for (int k = 0; k < fix.count; ++k) sum += slots[(fix.first + k) * kTile + atom];
      slots[fix.slot * kTile + atom] = sum;
    }
  });
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
  const Weighted* energy;        // moments that the energy depends on directly, their adjoints, coefficients of scalars
  int energies;
  const Product* forward;
  const Fix* forward_fixes;
  const Weighted* leaf;
  const Fix* leaf_fixes;
  const Product* backward;
  const Fix* backward_fixes;
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
    if (t < kTile) s.moment[kOneSlot * kTile + t] = 1;
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

// A part of the block's neighbours: those of as many whole atoms as there is room for, or kPart of an atom with more.
struct Part {
  int begin, end;
};
DEVICE Part part_from(const Shared& s, int begin) {
  if (s.offset[kTile] - begin <= kPart) return {begin, s.offset[kTile]};
  int end = begin;
  for (int a = 0; a < kTile; ++a) {
    if (s.offset[a + 1] - begin > kPart) break;
    if (s.offset[a + 1] > begin) end = s.offset[a + 1];
  }
  return {begin, end > begin ? end : begin + kPart};
}
// Calls use(part) for one part after the other.
template <class Use>
DEVICE void each_part(const Shared& s, const Use& use) {
  for (Part part = part_from(s, 0);; part = part_from(s, part.end)) {
    use(part);
    if (part.end == s.offset[kTile]) break;
  }
}
DEVICE bool is_one_part(const Shared& s) { return s.offset[kTile] <= kPart; }
// Neighbours of an atom in a part, and whether it has had others.
DEVICE int first_in(const Shared& s, int a, const Part& part) {
  return s.offset[a] > part.begin ? s.offset[a] - part.begin : 0;
}
DEVICE int end_in(const Shared& s, int a, const Part& part) {
  return (s.offset[a + 1] < part.end ? s.offset[a + 1] : part.end) - part.begin;
}
DEVICE bool goes_on(const Shared& s, int a, const Part& part) { return s.offset[a] < part.begin; }

// The radial functions and powers of a part.
template <bool kWithPowers>
DEVICE void fill_records(const Sites& in, const Shared& s, const Part& part) {
  phase([&](int t) {
    const int p = part.begin + t;
    if (p >= part.end) return;
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
    UNROLL_BY(kRadial > 3 ? 2 : 1)  // registers are short where many blocks lie side by side
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

// Basic moments: kLanes threads of an atom have a column each, that is, powers of y and z with all powers of x, and all
// their radial functions; in turns they have others, kLanes further on. Columns are sorted, so that the first of a turn
// says how many powers of x and functions there are at most. Groups of such threads take neighbours in turn; what they
// found is added up, and each keeps some of the sums.
DEVICE bool is_needed(int turn, int x, int mu) { return mu < degree_radial(turn_degree(turn) + x); }
template <int kCount, int kStride>
DEVICE void add_up_groups(PerThread<Real, kSums>& sums) {
  if constexpr (kStride >= kLanes) {
    fold<kCount>(sums, kStride);
    add_up_groups<(kCount + 1) / 2, kStride / 2>(sums);
  }
}
DEVICE void add_moments(const Shared& s, const Part& part) {
  PerThread<Real, kSums> sums;
  own_phase([&](int t) {
    const int a = t / kAtomThreads, lane = t % kLanes, begin = first_in(s, a, part) + t % kAtomThreads / kLanes,
              end = end_in(s, a, part);
    Real* sum = sums.of(t);
    UNROLL
    for (int k = 0; k < kSums; ++k) sum[k] = 0;
    const Real *record = s.record + begin * kRecord, *powers = s.power + begin * kPowers, *y[kTurns], *z[kTurns];
    UNROLL
    for (int turn = 0; turn < kTurns; ++turn) {
      const unsigned at = kColumnPowers[lane + turn * kLanes];
      y[turn] = powers + (at & 0xffu);
      z[turn] = powers + (at >> 8);
    }
    UNROLL_BY(kGroups == 1 ? 2 : 1)
    for (int p = begin; p < end; p += kGroups) {
      Real own[kUnit + 2];
      read_pairs<kUnit + 2>(record, own);
      record += kGroups * kRecord;
      int place = 0;
      UNROLL
      for (int turn = 0; turn < kTurns; ++turn) {
        Real value = *y[turn] * *z[turn];
        y[turn] += kGroups * kPowers;
        z[turn] += kGroups * kPowers;
        UNROLL
        for (int k = 0; k <= kDegree; ++k) {
          UNROLL
          for (int mu = 0; mu < kRadial; ++mu)
            if (is_needed(turn, k, mu)) sum[place++] += own[mu] * value;
          if (is_needed(turn, k + 1, 0)) value *= own[kUnit];
        }
      }
    }
  });
  add_up_groups<kSums, kAtomThreads / 2>(sums);
  phase([&](int t) {
    const int a = t / kAtomThreads;
    const bool has_more = goes_on(s, a, part);
    UNROLL
    for (int k = 0; k < kKeptSums; ++k) {
      const unsigned slot = kKeptMoments[k][t % kAtomThreads];
      if (slot == kNoMoment) continue;
      Real* moment = &s.moment[slot * kTile + a];
      *moment = has_more ? *moment + sums.of(t)[k] : sums.of(t)[k];
    }
  });
}

// Sums of the workers of a warp: of two atoms side by side, the second one's come to be in the second half of the warp.
template <int kCount, int kStride>
DEVICE void add_up_workers(PerThread<double, kSide>& sums) {
  if constexpr (kStride >= kSides) {
    fold<kCount>(sums, kStride);
    add_up_workers<1, kStride / 2>(sums);
  }
}
// Moments, adjoints and shares of the site energies.
DEVICE void contract(const Sites& in, const Shared& s) {
  for (int k = 0; k < kForwardStages; ++k)
    run_stage<false>(kForward[k], in.forward, in.forward_fixes, s.moment);
  for (int k = 0; k < kLeafStages; ++k)
    run_stage<false>(kLeaf[k], in.leaf, in.leaf_fixes, s.moment);
  PerThread<double, kSide> energy;
  phase([&](int t) {
    const SharedPlaces<Real, kSide> own(s.moment + t % kSides * kSide);
    double* sum = energy.of(t);
    UNROLL
    for (int x = 0; x < kSide; ++x) sum[x] = 0.0;
    for (int k = t / kSides; k < in.energies; k += kWorkers) {
      const Weighted entry = load(in.energy + k);
      const Side moment = own.get(entry.factor), adjoint = own.get(entry.where);
      UNROLL
      for (int x = 0; x < kSide; ++x) sum[x] += 0.5 * moment.of[x] * (adjoint.of[x] + entry.by);
    }
  });
  add_up_workers<kSide, 16>(energy);
  own_phase([&](int t) {
    const int side = t % 32 % (kSide == 2 ? 16 : 32), x = t % 32 / 16;
    if (side < kSides && x < kSide) s.energy[t / 32 * kTile + side * kSide + x] = *energy.of(t);
  });
}

DEVICE void contract_back(const Sites& in, const Shared& s) {
  for (int k = 0; k < kBackwardStages; ++k)
    run_stage<true>(kBackward[k], in.backward, in.backward_fixes, s.moment);
}

// Forces of one part of the neighbours; the record then holds the integers added and the separation. Flags of
// each system say whether a force was out of bounds, and whether a pair was closer than min_dist.
DEVICE void pull_forces(const Sites& in, const Shared& s, const Part& part, long long* force, int* flags) {
  phase([&](int t) {
    const int p = part.begin + t;
    if (p >= part.end) return;
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
DEVICE void sum_up(const Sites& in, const Shared& s, const Part& part, double* site_energy, long long* force,
                   double* virial) {
  phase([&](int t) {
    for (int task = t; task < (7 + 3 * kForceShares) * kTile; task += kThreads) {
      const int a = task % kTile, what = task / kTile;
      if (block_index() * kTile + a >= in.count) continue;
      const int i = atom_at(in, block_index() * kTile + a), end = end_in(s, a, part);
      if (what == 6) {
        if (part.begin > 0) continue;
        double energy = in.species_energy[static_cast<int>(in.places[4 * static_cast<long long>(i) + 3])];
        for (int k = 0; k < kEnergyShares; ++k) energy += s.energy[k * kTile + a];
        site_energy[i] = energy;
        continue;
      }
      if (what > 6) {  // whole numbers: shares add up to the same in any order
        const int axis = (what - 7) % 3, share = (what - 7) / 3;
        long long whole = 0;
        for (int p = first_in(s, a, part) + share; p < end; p += kForceShares)
          whole += reinterpret_cast<const long long*>(s.record + p * kRecord)[axis];
        add_integer(&force[3 * static_cast<long long>(i) + axis], whole);
      } else if (virial) {
        const int row = what < 3 ? what : (what == 3 ? 1 : 0), column = what < 3 ? what : (what == 5 ? 1 : 2);
        double* own = &virial[6 * static_cast<long long>(i) + what];
        double sum = goes_on(s, a, part) ? *own : 0.0;
        for (int p = first_in(s, a, part); p < end; ++p) {
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
        const double* radial, const double* species_energy, const Weighted* energy, int energies, const Product* forward,
        const Fix* forward_fixes, const Weighted* leaf, const Fix* leaf_fixes, const Product* backward,
        const Fix* backward_fixes, double* site_energy, long long* force, double* virial, int* flags),
       (places, cells, system, list, list_count, capacity, order, count, min_dist, max_dist, scaling, radial,
        species_energy, energy, energies, forward, forward_fixes, leaf, leaf_fixes, backward, backward_fixes, site_energy,
        force, virial, flags)) {
  const Sites in = {places, cells, system, list, list_count, capacity, order, count, min_dist, max_dist, scaling,
                    radial, species_energy, energy, energies, forward, forward_fixes, leaf, leaf_fixes, backward,
                    backward_fixes};
  const Shared s(shared_memory(), 0, capacity);
  find_neighbors(in, s);
  each_part(s, [&](const Part& part) {
    fill_records<true>(in, s, part);
    add_moments(s, part);
  });
  contract(in, s);
  contract_back(in, s);
  each_part(s, [&](const Part& part) {
    if (!is_one_part(s)) fill_records<false>(in, s, part);
    pull_forces(in, s, part, force, flags);
    sum_up(in, s, part, site_energy, force, virial);
  });
}

// dE/df, the radial polynomials and the species of one part of the neighbours.
DEVICE void pull_rows(const Sites& in, const Shared& s, const Part& part) {
  phase([&](int t) {
    const int p = part.begin + t;
    if (p >= part.end) return;
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
        const double* radial, const double* species_energy, const Weighted* energy, int energies, const Product* forward,
        const Fix* forward_fixes, const Weighted* leaf, const Fix* leaf_fixes, const Product* backward,
        const Fix* backward_fixes, const Product* leaf_values, const Fix* leaf_values_fixes, const int* scalar_slot,
        double* rows),
       (places, cells, system, list, list_count, capacity, order, count, min_dist, max_dist, scaling, radial,
        species_energy, energy, energies, forward, forward_fixes, leaf, leaf_fixes, backward, backward_fixes, leaf_values,
        leaf_values_fixes, scalar_slot, rows)) {
  const Sites in = {places, cells, system, list, list_count, capacity, order, count, min_dist, max_dist, scaling,
                    radial, species_energy, energy, energies, forward, forward_fixes, leaf, leaf_fixes, backward,
                    backward_fixes};
  const Shared s(shared_memory(), kLeaves, capacity);
  find_neighbors(in, s);
  each_part(s, [&](const Part& part) {
    fill_records<true>(in, s, part);
    add_moments(s, part);
  });
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
  each_part(s, [&](const Part& part) {
    if (!is_one_part(s)) fill_records<false>(in, s, part);
    pull_rows(in, s, part);
    phase([&](int t) {
      for (int task = t; task < kRadialParameters * kTile; task += kThreads) {
        const int a = task / kRadialParameters, place = task % kRadialParameters, at = block_index() * kTile + a;
        if (at >= count) continue;
        const int kind = place / (kRadial * kRadialSize), mu = place / kRadialSize % kRadial, k = place % kRadialSize;
        const int end = end_in(s, a, part);
        double* own = &rows[static_cast<long long>(at) * kDepth + place];
        double sum = *own;
        for (int p = first_in(s, a, part); p < end; ++p) {
          const Real* record = s.record + p * kRecord;
          if (static_cast<int>(record[kKindAt]) == kind) sum += record[mu] * record[kRadial + k];
        }
        *own = sum;
      }
    });
  });
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
