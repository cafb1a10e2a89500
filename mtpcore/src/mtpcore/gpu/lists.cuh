// Neighbour lists: atoms are sorted into bins, each looks through the bins around its own. Many systems at once.
#pragma once

#include "device.cuh"

constexpr int kListThreads = 128;
constexpr unsigned long long kFarthest = 0x7ff0000000000000;  // infinity

// Cell of a system and its inverse, 9 numbers each, and the bins along each vector, the first bin and the reach in bins.
DEVICE double dot3(const double* m, int column, const double* r) {
  return r[0] * m[column] + r[1] * m[3 + column] + r[2] * m[6 + column];
}

// Gives each atom of a system whose lists are stale its bin, and counts the atoms of each bin. These atoms are moved into
// their cell, the cells moved by are counted, and where the atoms are is remembered; those of other systems stay as they
// are, so that no system depends on others.
KERNEL(wrap_atoms, kListThreads,
       (double* places, int* images, double* reference, const int* system, const double* cells, const double* inverses,
        const int* bins, const int* stale, int count, int* bin_of, int* bin_count),
       (places, images, reference, system, cells, inverses, bins, stale, count, bin_of, bin_count)) {
  phase([&](int t) {
    const int i = block_index() * kListThreads + t;
    if (i >= count || !stale[system[i]]) return;
    double* r = places + 4 * static_cast<long long>(i);
    const double *cell = cells + 9 * system[i], *inverse = inverses + 9 * system[i];
    const int* grid = bins + 8 * system[i];  // bins along a, b, c, first bin, reach along a, b, c, unused
    int index[3];
    double fraction[3];
    for (int d = 0; d < 3; ++d) fraction[d] = dot3(inverse, d, r);
    for (int d = 0; d < 3; ++d) {
      const double whole = floor(fraction[d]);
      if (whole != 0.0) {
        images[3 * static_cast<long long>(i) + d] += static_cast<int>(whole);
        for (int x = 0; x < 3; ++x) r[x] -= whole * cell[3 * d + x];
      }
      const int bin = static_cast<int>((fraction[d] - whole) * grid[d]);
      index[d] = bin < 0 ? 0 : (bin >= grid[d] ? grid[d] - 1 : bin);
    }
    for (int x = 0; x < 3; ++x) reference[3 * static_cast<long long>(i) + x] = r[x];
    bin_of[i] = grid[3] + (index[0] * grid[1] + index[1]) * grid[2] + index[2];
    raise_by_one(&bin_count[bin_of[i]]);
  });
}

// Where the atoms of each bin begin; the counts become nothing, and so does what lists are to say of themselves.
constexpr int kScanThreads = 256;
KERNEL(scan_bins, kScanThreads, (int* bin_count, int bins, int* start, int* needed, unsigned long long* closest),
       (bin_count, bins, start, needed, closest)) {
  int* before = reinterpret_cast<int*>(shared_memory());
  const int share = (bins + kScanThreads - 1) / kScanThreads;
  const auto end = [&](int t) { return (t + 1) * share < bins ? (t + 1) * share : bins; };
  phase([&](int t) {
    int sum = 0;
    for (int bin = t * share; bin < end(t); ++bin) sum += bin_count[bin];
    before[t] = sum;
  });
  phase([&](int t) {
    if (t != 0) return;
    int sum = 0;
    for (int k = 0; k < kScanThreads; ++k) {
      const int own = before[k];
      before[k] = sum;
      sum += own;
    }
    start[bins] = sum;
    *needed = 0;
    *closest = kFarthest;
  });
  phase([&](int t) {
    int sum = before[t];
    for (int bin = t * share; bin < end(t); ++bin) {
      start[bin] = sum;
      sum += bin_count[bin];
      bin_count[bin] = 0;
    }
  });
}

// Puts atoms into their bins, in whatever order; `filled` begins as nothing.
KERNEL(fill_bins, kListThreads,
       (const int* system, const int* stale, const int* bin_of, const int* start, int count, int* filled, int* sorted),
       (system, stale, bin_of, start, count, filled, sorted)) {
  phase([&](int t) {
    const int i = block_index() * kListThreads + t;
    if (i >= count || !stale[system[i]]) return;
    sorted[start[bin_of[i]] + raise_by_one(&filled[bin_of[i]])] = i;
  });
}

// Puts the atoms of each bin in order, so that lists do not depend on which thread came first; `filled` becomes nothing.
KERNEL(sort_bins, kListThreads, (const int* start, int bins, int* filled, int* sorted), (start, bins, filled, sorted)) {
  phase([&](int t) {
    const int bin = block_index() * kListThreads + t;
    if (bin >= bins) return;
    filled[bin] = 0;
    for (int k = start[bin] + 1; k < start[bin + 1]; ++k) {
      const int atom = sorted[k];
      int at = k;
      for (; at > start[bin] && sorted[at - 1] > atom; --at) sorted[at] = sorted[at - 1];
      sorted[at] = atom;
    }
  });
}

// Lists that were stale are good again, until an atom has moved by `room`.
KERNEL(renew_lists, kListThreads, (double room, int count, int* stale, double* slack, double* since),
       (room, count, stale, slack, since)) {
  phase([&](int t) {
    const int s = block_index() * kListThreads + t;
    if (s >= count || !stale[s]) return;
    stale[s] = 0;
    slack[s] = room;
    for (int d = 0; d < 3; ++d) since[3 * s + d] = 1.0;
  });
}

// A bin's atoms are sorted[start[bin]] to sorted[start[bin + 1]]. An atom with more neighbours than there is room for
// keeps none, and says how much room it needs.
KERNEL(build_list, kListThreads,
       (const double* places, const int* system, const double* cells, const int* bins, const int* stale,
        const int* bin_of, const int* sorted, const int* start, int count, double reach, int capacity, unsigned* list,
        int* list_count, int* needed, unsigned long long* closest),
       (places, system, cells, bins, stale, bin_of, sorted, start, count, reach, capacity, list, list_count, needed,
        closest)) {
  phase([&](int t) {
    const int i = block_index() * kListThreads + t;
    if (i >= count || !stale[system[i]]) return;
    const double* cell = cells + 9 * system[i];
    const int* grid = bins + 8 * system[i];
    const int own = bin_of[i] - grid[3];
    const int home[3] = {own / (grid[1] * grid[2]), own / grid[2] % grid[1], own % grid[2]};
    unsigned* entries = list + static_cast<long long>(i) * capacity;
    int found = 0;
    double nearest = reach * reach;
    for (int a = -grid[4]; a <= grid[4]; ++a)
      for (int b = -grid[5]; b <= grid[5]; ++b)
        for (int c = -grid[6]; c <= grid[6]; ++c) {
          const int offset[3] = {a, b, c};
          int index[3], image[3];
          for (int d = 0; d < 3; ++d) {
            const int at = home[d] + offset[d];
            image[d] = at >= 0 ? at / grid[d] : -((grid[d] - 1 - at) / grid[d]);
            index[d] = at - image[d] * grid[d];
          }
          const unsigned code = static_cast<unsigned>(image_code(image[0], image[1], image[2])) << kAtomBits;
          const bool is_home = image[0] == 0 && image[1] == 0 && image[2] == 0;
          const int bin = grid[3] + (index[0] * grid[1] + index[1]) * grid[2] + index[2];
          for (int k = start[bin]; k < start[bin + 1]; ++k) {
            const int j = sorted[k];
            if (j == i && is_home) continue;
            const unsigned entry = code | static_cast<unsigned>(j);
            const double distance = square(separation(places, cell, i, entry));
            if (!(distance < reach * reach)) continue;
            nearest = distance < nearest ? distance : nearest;
            if (found < capacity) entries[found] = entry;
            ++found;
          }
        }
    list_count[i] = found <= capacity ? found : 0;
    raise_to(needed, found);
    lower_to(closest, nearest);
  });
}
