// Orders the sums of products that threads of a GPU work on side by side, so that those which read together read from
// different banks of shared memory.
#pragma once

#include <cstdint>
#include <vector>

namespace mtpcore {

// What comes to a place of a table: the place of the entry in the table before; if a sum ends here, the place of the entry
// that ended it before, else -1; and whether the factors swap.
struct Arrival {
  std::int32_t from, ended;
  bool is_swapped;
};

// A table of products, (steps, workers): in each step a worker adds a product to its sum, which an entry may end.
struct ProductTable {
  int steps, workers;
  const std::int64_t *first, *second;  // slots of the factors
  const bool* ends;                    // whether a sum ends with this entry; those after a worker's last one are idle
};

// `group` workers, one after another, read together, and so do slots that differ by a multiple of it, from one bank.
// Returns for each place what comes there; an idle place gets no entry (-1). Sums stay whole; those of one length may
// change workers. Simulated annealing with a fixed seed. Throws std::invalid_argument where workers are no multiple of
// the group, or the group is not 1, 2, 4, 8 or 16.
std::vector<Arrival> order_by_banks(const ProductTable& table, int group);

}  // namespace mtpcore
