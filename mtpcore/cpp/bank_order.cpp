#include "bank_order.hpp"

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <map>
#include <random>
#include <stdexcept>

namespace mtpcore {
namespace {

constexpr int kLargestGroup = 16;
constexpr long kMovesPerEntry = 300, kMostMoves = 4'000'000;  // a few seconds
constexpr double kHot = 0.5, kCold = 0.08;  // costs more that are accepted with a chance of 1/e, at first and at last

struct Factors {
  int slot[2];  // -1: nothing to do
  Arrival entry;
};
struct Sum {
  int worker, begin, length;
};

class Annealing {
 public:
  Annealing(const ProductTable& table, int group)
      : table_(table),
        group_(group),
        factors_(table.steps * table.workers, {{-1, -1}, {-1, -1, false}}),
        cost_(factors_.size() / group) {
    deal();
    for (int g = 0; g < table_.workers / group_; ++g)
      for (int step = 0; step < table_.steps; ++step) cost(g, step) = reads(g, step);
  }

  std::vector<Arrival> run() {
    const long moves = sums_.empty() ? 0 : std::min(kMovesPerEntry * entries_, kMostMoves);
    double temperature = kHot;
    for (long k = 0; k < moves; ++k) {
      if (k % 1024 == 0) temperature = kHot * std::pow(kCold / kHot, static_cast<double>(k) / moves);
      switch (draw(8)) {
        case 0: swap_factors(temperature); break;
        case 1: swap_neighbours(temperature); break;
        case 2: swap_sums(temperature); break;
        default: swap_entries(temperature);
      }
    }
    for (std::size_t k = 0; k < sums_.size(); ++k)
      at(sums_[k].worker, sums_[k].begin + sums_[k].length - 1).entry.ended = ended_[k];
    std::vector<Arrival> order;
    for (const Factors& factors : factors_) order.push_back(factors.entry);
    return order;
  }

 private:
  void deal() {
    order_.resize(table_.workers);
    for (int w = 0; w < table_.workers; ++w) {
      int begin = 0;
      for (int step = 0; step < table_.steps; ++step) {
        if (!table_.ends[step * table_.workers + w]) continue;
        order_[w].push_back(static_cast<int>(sums_.size()));
        place_.push_back(static_cast<int>(order_[w].size()) - 1);
        sums_.push_back({w, begin, step + 1 - begin});
        ended_.push_back(step * table_.workers + w);
        for (int k = begin; k <= step; ++k) {
          const int from = k * table_.workers + w;
          at(w, k) = {{static_cast<int>(table_.first[from]), static_cast<int>(table_.second[from])}, {from, -1, false}};
        }
        entries_ += step + 1 - begin;
        begin = step + 1;
      }
    }
    std::map<int, std::vector<int>> by_length;
    for (int s = 0; s < static_cast<int>(sums_.size()); ++s) by_length[sums_[s].length].push_back(s);
    as_long_.resize(sums_.size());
    for (const auto& [length, sums] : by_length) {
      lists_.push_back(sums);
      for (int s : sums) as_long_[s] = static_cast<int>(lists_.size()) - 1;
    }
  }

  Factors& at(int worker, int step) { return factors_[step * table_.workers + worker]; }
  int& cost(int g, int step) { return cost_[step * (table_.workers / group_) + g]; }
  int draw(std::size_t below) { return static_cast<int>(random_() % below); }

  // Turns in which a group reads its factors, as many as different slots lie in the bank with most of them; and pairs of
  // slots in one bank, which show the way where no single move saves a turn.
  int reads(int g, int step) const {
    const Factors* factors = &factors_[step * table_.workers + g * group_];
    const int banks = group_ - 1;  // a mask: groups are powers of two
    int turns = 0, clashes = 0;
    for (int side = 0; side < 2; ++side) {
      int count[kLargestGroup] = {}, most = 0;
      for (int w = 0; w < group_; ++w) {
        const int slot = factors[w].slot[side];
        if (slot < 0) continue;
        int& known = count[slot & banks];
        if (known > 0 && is_read(factors, w, side, slot)) continue;
        clashes += known++;
        most = std::max(most, known);
      }
      turns += most;
    }
    return turns + clashes;
  }
  static bool is_read(const Factors* factors, int before, int side, int slot) {
    for (int w = 0; w < before; ++w)
      if (factors[w].slot[side] == slot) return true;
    return false;
  }

  // Keeps what `move` does, which is its own inverse, if the steps of the sums it touches are read in fewer turns, or by
  // chance.
  struct Steps {
    int worker, begin, length;
  };
  template <class Move>
  void attempt(double temperature, std::initializer_list<Steps> touched, const Move& move) {
    move();
    int more = 0;
    now_.clear();
    for (const Steps& steps : touched)
      for (int step = steps.begin; step < steps.begin + steps.length; ++step) {
        now_.push_back(reads(steps.worker / group_, step));
        more += now_.back() - cost(steps.worker / group_, step);
      }
    if (more > 0 && static_cast<double>(random_()) * 0x1p-32 >= std::exp(-more / temperature)) return move();
    auto next = now_.begin();
    for (const Steps& steps : touched)
      for (int step = steps.begin; step < steps.begin + steps.length; ++step) cost(steps.worker / group_, step) = *next++;
  }

  void swap_factors(double temperature) {
    const Sum& sum = sums_[draw(sums_.size())];
    const int step = sum.begin + draw(sum.length);
    attempt(temperature, {{sum.worker, step, 1}}, [&] {
      Factors& own = at(sum.worker, step);
      std::swap(own.slot[0], own.slot[1]);
      own.entry.is_swapped = !own.entry.is_swapped;
    });
  }

  void swap_entries(double temperature) {
    const Sum& sum = sums_[draw(sums_.size())];
    const int one = sum.begin + draw(sum.length), other = sum.begin + draw(sum.length);
    if (one == other) return;
    attempt(temperature, {{sum.worker, one, 1}, {sum.worker, other, 1}},
            [&] { std::swap(at(sum.worker, one), at(sum.worker, other)); });
  }

  // Two sums of a worker that follow one another.
  void swap_neighbours(double temperature) {
    const int one = draw(sums_.size()), w = sums_[one].worker, place = place_[one];
    if (place + 1 == static_cast<int>(order_[w].size())) return;
    const int begin = sums_[one].begin, length = sums_[one].length + sums_[order_[w][place + 1]].length;
    attempt(temperature, {{w, begin, length}}, [&] {
      int &first = order_[w][place], &second = order_[w][place + 1];
      line_.clear();
      for (int k = 0; k < length; ++k) line_.push_back(at(w, begin + (k + sums_[first].length) % length));
      for (int k = 0; k < length; ++k) at(w, begin + k) = line_[k];
      sums_[second].begin = begin;
      sums_[first].begin = begin + sums_[second].length;
      std::swap(place_[first], place_[second]);
      std::swap(first, second);
    });
  }

  // Two sums of one length, of any workers.
  void swap_sums(double temperature) {
    const int one = draw(sums_.size());
    const std::vector<int>& others = lists_[as_long_[one]];
    const int other = others[draw(others.size())];
    if (one == other) return;
    const Sum a = sums_[one], b = sums_[other];
    attempt(temperature, {{a.worker, a.begin, a.length}, {b.worker, b.begin, b.length}}, [&] {
      for (int k = 0; k < a.length; ++k) std::swap(at(a.worker, a.begin + k), at(b.worker, b.begin + k));
      std::swap(order_[sums_[one].worker][place_[one]], order_[sums_[other].worker][place_[other]]);
      std::swap(place_[one], place_[other]);
      std::swap(sums_[one], sums_[other]);
    });
  }

  const ProductTable& table_;
  const int group_;
  std::vector<Factors> factors_, line_;  // [step][worker]; of two sums that change places
  std::vector<int> cost_, now_;          // [step][group]; of the steps that a move touches
  std::vector<Sum> sums_;
  std::vector<int> ended_;               // of a sum: place of the entry that ended it
  std::vector<std::vector<int>> order_;  // sums of a worker, in turn
  std::vector<int> place_;               // of a sum, in that
  std::vector<std::vector<int>> lists_;  // sums of one length
  std::vector<int> as_long_;             // of a sum: which list
  long entries_ = 0;
  std::mt19937 random_{1};
};

}  // namespace

std::vector<Arrival> order_by_banks(const ProductTable& table, int group) {
  if (group < 1 || group > kLargestGroup || (group & (group - 1)) != 0 || table.workers % group != 0)
    throw std::invalid_argument("workers come in groups of 1, 2, 4, 8 or 16");
  return Annealing(table, group).run();
}

}  // namespace mtpcore
