// Velocity Verlet, the thermostat of Bussi, Donadio and Parrinello (J. Chem. Phys. 126, 014101 (2007)), the barostat of
// Bernetti and Bussi (J. Chem. Phys. 153, 114107 (2020)), sums over systems. Many systems at once.
//
// All random numbers are functions of (seed, step, purpose, count): Philox4x32-10, J. Salmon et al., Proc. SC11 (2011).
#pragma once

#include "device.cuh"

constexpr int kMotionThreads = 128, kSumThreads = 256;
constexpr double kBoltzmann = 8.617343e-5;   // eV/K, as LAMMPS's units metal have it
constexpr double kMassUnit = 1.0364269e-4;   // eV ps^2 / (angstrom^2 u)
constexpr double kPi = 3.14159265358979323846;
enum Purpose { kThermostat = 1, kBarostat = 2 };

class Random {
 public:
  DEVICE_MEMBER Random(unsigned long long seed, unsigned long long step, unsigned purpose)
      : key_{static_cast<unsigned>(seed), static_cast<unsigned>(seed >> 32)},
        counter_{static_cast<unsigned>(step), static_cast<unsigned>(step >> 32), purpose, 0u},
        left_(0) {}

  // Between 0 and 1, neither of them: 53 bits.
  DEVICE_MEMBER double uniform() {
    if (left_ == 0) refill();
    --left_;
    const unsigned long long bits =
        (static_cast<unsigned long long>(value_[2 * left_]) << 32 | value_[2 * left_ + 1]) >> 11;
    return (static_cast<double>(bits) + 0.5) * (1.0 / 9007199254740992.0);
  }
  DEVICE_MEMBER double normal() {
    const double length = sqrt(-2.0 * log(uniform()));
    return length * cos(2.0 * kPi * uniform());
  }
  // Sum of n squared normal numbers: twice a gamma number of shape n/2 (G. Marsaglia, W. Tsang, ACM TOMS 26, 363 (2000)).
  DEVICE_MEMBER double chi_squared(double n) {
    double shape = 0.5 * n, boost = 1.0;
    if (n <= 0.0) return 0.0;
    if (shape < 1.0) {
      boost = pow(uniform(), 1.0 / shape);
      shape += 1.0;
    }
    const double d = shape - 1.0 / 3.0, c = 1.0 / sqrt(9.0 * d);
    for (;;) {
      const double x = normal();
      double v = 1.0 + c * x;
      if (v <= 0.0) continue;
      v = v * v * v;
      if (log(uniform()) < 0.5 * x * x + d - d * v + d * log(v)) return 2.0 * d * v * boost;
    }
  }

 private:
  DEVICE_MEMBER void refill() {
    unsigned k0 = key_[0], k1 = key_[1];
    for (int x = 0; x < 4; ++x) value_[x] = counter_[x];
    for (int round = 0; round < 10; ++round) {
      const unsigned high0 = high_product(0xD2511F53u, value_[0]), low0 = 0xD2511F53u * value_[0];
      const unsigned high1 = high_product(0xCD9E8D57u, value_[2]), low1 = 0xCD9E8D57u * value_[2];
      value_[0] = high1 ^ value_[1] ^ k0;
      value_[1] = low1;
      value_[2] = high0 ^ value_[3] ^ k1;
      value_[3] = low0;
      k0 += 0x9E3779B9u;
      k1 += 0xBB67AE85u;
    }
    ++counter_[3];
    left_ = 2;
  }

  unsigned key_[2], counter_[4], value_[4];
  int left_;
};

// Raw numbers of the generator, for known answers.
KERNEL(random_numbers, 1, (unsigned long long seed, unsigned long long step, int purpose, int count, double* out),
       (seed, step, purpose, count, out)) {
  phase([&](int) {
    Random random(seed, step, static_cast<unsigned>(purpose));
    for (int k = 0; k < count; ++k) out[k] = random.uniform();
    for (int k = 0; k < count; ++k) out[count + k] = random.normal();
    for (int k = 0; k < count; ++k) out[2 * count + k] = random.chi_squared(k + 1.0);
  });
}

// Whether lists made before an atom moved by sqrt(moved) still hold all its neighbours; NaN is not.
DEVICE bool is_covered(double moved, double slack) { return slack > 0.0 && moved <= slack * slack; }

DEVICE double from_units(long long whole) { return static_cast<double>(whole) / kForceUnit; }

// Half a kick, a drift (of systems that are moving), and whether an atom has
// gone so far since the lists were made, a share of their slack, that they are to be made anew.
KERNEL(first_half, kMotionThreads,
       (double* places, double* velocity, long long* force, const double* mass, const int* system, const double* scale,
        const double* reference, const double* slack, double share, const int* moving, double timestep, int count,
        int* stale),
       (places, velocity, force, mass, system, scale, reference, slack, share, moving, timestep, count, stale)) {
  phase([&](int t) {
    const int i = block_index() * kMotionThreads + t;
    if (i >= count) return;
    const int s = system[i];
    if (!moving[s]) {
      for (int d = 0; d < 3; ++d) force[3 * static_cast<long long>(i) + d] = 0;
      return;
    }
    const double kick = 0.5 * timestep * (1.0 / kMassUnit) / mass[i];
    double moved = 0.0;
    for (int d = 0; d < 3; ++d) {
      const long long at = 3 * static_cast<long long>(i) + d;
      const double v = velocity[at] * scale[s] + kick * from_units(force[at]);
      velocity[at] = v;
      double* x = &places[4 * static_cast<long long>(i) + d];
      *x += timestep * v;
      moved += (*x - reference[at]) * (*x - reference[at]);
      force[at] = 0;
    }
    if (!is_covered(moved, share * slack[s])) raise_to(&stale[s], 1);
  });
}

// The other half of the kick, and the kinetic energy of each block of atoms of one system.
KERNEL(second_half, kSumThreads,
       (double* velocity, const long long* force, const double* mass, const int* system, const int* moving,
        const int* block_first, const int* block_count, double timestep, double* energy),
       (velocity, force, mass, system, moving, block_first, block_count, timestep, energy)) {
  double* shared = shared_memory();
  phase([&](int t) {
    double twice = 0.0;
    if (t < block_count[block_index()]) {
      const int i = block_first[block_index()] + t;
      const double kick = moving[system[i]] ? 0.5 * timestep * (1.0 / kMassUnit) / mass[i] : 0.0;
      for (int d = 0; d < 3; ++d) {
        const long long at = 3 * static_cast<long long>(i) + d;
        const double v = velocity[at] + kick * from_units(force[at]);
        velocity[at] = v;
        twice += v * v;
      }
      twice *= mass[i];
    }
    shared[t] = 0.5 * kMassUnit * twice;
  });
  for (int half = kSumThreads / 2; half > 0; half /= 2)
    phase([&](int t) {
      if (t < half) shared[t] += shared[t + half];
    });
  phase([&](int t) {
    if (t == 0) energy[block_index()] = shared[0];
  });
}

// Kinetic energy of each system, and the factor its velocities are to be multiplied by. A system has three
// numbers: kinetic energy after the thermostat, energy that thermostat and barostat took, temperature.
KERNEL(end_step, 32,
       (const double* energy, const int* first_block, const int* atoms, const int* moving,
        const unsigned long long* seeds, const double* temperatures, double fraction, double decay,
        unsigned long long step, double* scale, double* numbers),
       (energy, first_block, atoms, moving, seeds, temperatures, fraction, decay, step, scale, numbers)) {
  double* shared = shared_memory();
  const int s = block_index();
  phase([&](int t) {
    double sum = 0.0;
    for (int b = first_block[s] + t; b < first_block[s + 1]; b += 32) sum += energy[b];
    shared[t] = sum;
  });
  phase([&](int t) {
    if (t != 0) return;
    double kinetic = 0.0;
    for (int k = 0; k < 32; ++k) kinetic += shared[k];
    const double freedom = 3.0 * atoms[s] - 3.0;
    double factor = 1.0;
    if (decay < 1.0 && kinetic > 0.0 && moving[s]) {  // decay = exp(-timestep / time constant); 1: no thermostat
      const double target = temperatures[2 * s] + fraction * (temperatures[2 * s + 1] - temperatures[2 * s]);
      const double wanted = 0.5 * kBoltzmann * target * freedom;
      Random random(seeds[s], step, kThermostat);
      const double first = random.normal(), others = random.chi_squared(freedom - 1.0);
      const double share = (1.0 - decay) * wanted / kinetic / freedom;
      factor = sqrt(decay + share * (first * first + others) + 2.0 * first * sqrt(decay * share));
    }
    const double after = factor * factor * kinetic;
    scale[s] = factor;
    numbers[3 * s] = after;
    numbers[3 * s + 1] += kinetic - after;
    numbers[3 * s + 2] = 2.0 * after / (freedom * kBoltzmann);
  });
}

// Velocities as they are, for output: the factor that was put off is applied.
KERNEL(apply_scale, kMotionThreads, (double* velocity, const double* scale, const int* system, int count),
       (velocity, scale, system, count)) {
  phase([&](int t) {
    const int i = block_index() * kMotionThreads + t;
    if (i >= count) return;
    for (int d = 0; d < 3; ++d) velocity[3 * static_cast<long long>(i) + d] *= scale[system[i]];
  });
}

// Sums over each system: potential energy, virial (6), sum of m v v (6), mass and first moment of the atoms that are
// framework (4), kinetic energy. Unwrapped places are places + images of the cell. First of each atom,
constexpr int kSums = 18, kSumParts = 8, kSystemThreads = 32 * kSums;
DEVICE void add_atom(const double* place, const double* v, double mass, const int* images, const double* cell,
                     double energy, const double* virial, bool is_framework, double* sums) {
  sums[0] = energy;
  for (int k = 0; k < 6; ++k) {
    const int a = k < 3 ? k : (k == 3 ? 1 : 0), b = k < 3 ? k : (k == 5 ? 1 : 2);
    sums[1 + k] = virial[k];
    sums[7 + k] = kMassUnit * mass * v[a] * v[b];
  }
  sums[13] = is_framework ? mass : 0.0;
  for (int d = 0; d < 3; ++d)
    sums[14 + d] = is_framework ? mass * (place[d] + (images[0] * cell[d] + images[1] * cell[3 + d] + images[2] * cell[6 + d]))
                                : 0.0;
  sums[17] = 0.5 * kMassUnit * mass * (v[0] * v[0] + v[1] * v[1] + v[2] * v[2]);
}

// ... of each block of atoms of one system,
KERNEL(sum_blocks, kSumThreads,
       (const double* places, const double* velocity, const double* mass, const int* images, const double* cells,
        const double* site_energy, const double* virial, const int* is_framework, const int* system,
        const int* block_first, const int* block_count, double* block_sums),
       (places, velocity, mass, images, cells, site_energy, virial, is_framework, system, block_first, block_count,
        block_sums)) {
  constexpr int kLine = kSumThreads + 1;
  double *shared = shared_memory(), *parts = shared + kSums * kLine;
  phase([&](int t) {
    double sums[kSums];
    for (int what = 0; what < kSums; ++what) sums[what] = 0.0;
    if (t < block_count[block_index()]) {
      const long long i = block_first[block_index()] + t;
      add_atom(places + 4 * i, velocity + 3 * i, mass[i], images + 3 * i, cells + 9 * system[i], site_energy[i],
               virial + 6 * i, is_framework[i] != 0, sums);
    }
    for (int what = 0; what < kSums; ++what) shared[what * kLine + t] = sums[what];
  });
  phase([&](int t) {
    if (t >= kSums * kSumParts) return;
    const double* line = shared + t / kSumParts * kLine + t % kSumParts * (kSumThreads / kSumParts);
    double sum = 0.0;
    for (int k = 0; k < kSumThreads / kSumParts; ++k) sum += line[k];
    parts[t] = sum;
  });
  phase([&](int t) {
    if (t >= kSums) return;
    double sum = 0.0;
    for (int k = 0; k < kSumParts; ++k) sum += parts[t * kSumParts + k];
    block_sums[static_cast<long long>(block_index()) * kSums + t] = sum;
  });
}

// ... and of the blocks of each system.
KERNEL(sum_systems, kSystemThreads, (const double* block_sums, const int* first_block, double* sums),
       (block_sums, first_block, sums)) {
  double* shared = shared_memory();
  const int s = block_index();
  phase([&](int t) {
    double sum = 0.0;
    for (int b = first_block[s] + t / kSums; b < first_block[s + 1]; b += 32)
      sum += block_sums[static_cast<long long>(b) * kSums + t % kSums];
    shared[t] = sum;
  });
  phase([&](int t) {
    if (t >= kSums) return;
    double sum = 0.0;
    for (int k = 0; k < 32; ++k) sum += shared[k * kSums + t];
    sums[kSums * s + t] = sum;
  });
}

// How much each system's x, y and z are to be stretched, from its sums. Each length L follows
//   d ln L = (b / tau) (P - P0) dt + sqrt(2 k T b / (V tau)) dW,   b = compressibility / 3,
// with one dW and the mean pressure for all where the coupling is isotropic (then ln V follows the paper's equation).
// coupling: 1 isotropic, 2 along z, 3 each axis for itself. Cells, and what is left of the lists' slack, follow.
KERNEL(choose_stretch, 1,
       (const double* sums, const double* temperatures, double fraction, const unsigned long long* seeds,
        unsigned long long step, int coupling, double pressure, double rate, double interval, double reach,
        double cutoff, const int* moving, double* cells, double* since_lists, double* slack, double* stretch),
       (sums, temperatures, fraction, seeds, step, coupling, pressure, rate, interval, reach, cutoff, moving, cells,
        since_lists, slack, stretch)) {
  phase([&](int) {
    const int s = block_index();
    double* cell = cells + 9 * s;
    const double volume = cell[0] * cell[4] * cell[8];  // lower triangular
    const double target = temperatures[2 * s] + fraction * (temperatures[2 * s + 1] - temperatures[2 * s]);
    const double spread = sqrt(2.0 * kBoltzmann * target * rate / volume * interval);
    Random random(seeds[s], step, kBarostat);
    double found[3], noise[3];
    for (int d = 0; d < 3; ++d) {
      found[d] = (sums[kSums * s + 1 + d] + sums[kSums * s + 7 + d]) / volume;
      noise[d] = random.normal();
    }
    double smallest = 1.0;
    for (int d = 0; d < 3; ++d) {
      double change = 0.0;
      if (!moving[s])
        change = 0.0;
      else if (coupling == 1)  // a third of what ln V changes by
        change = rate * ((found[0] + found[1] + found[2]) / 3.0 - pressure) * interval + spread * noise[0] / sqrt(3.0);
      else if (coupling == 3 || d == 2)
        change = rate * (found[d] - pressure) * interval + spread * noise[d];
      const double factor = exp(change);
      stretch[3 * s + d] = factor;
      since_lists[3 * s + d] *= factor;
      smallest = since_lists[3 * s + d] < smallest ? since_lists[3 * s + d] : smallest;
      for (int k = 0; k < 3; ++k) cell[3 * k + d] *= factor;
    }
    const double left = 0.5 * (reach * smallest - cutoff);
    slack[s] = left;
  });
}

// Positions are stretched, velocities shrunk; `reference` moves along, so that only other motion counts against it.
KERNEL(stretch_atoms, kMotionThreads,
       (double* places, double* velocity, double* reference, const int* system, const double* stretch,
        const double* slack, int count, int* stale),
       (places, velocity, reference, system, stretch, slack, count, stale)) {
  phase([&](int t) {
    const int i = block_index() * kMotionThreads + t;
    if (i >= count) return;
    double moved = 0.0;
    for (int d = 0; d < 3; ++d) {
      const double factor = stretch[3 * system[i] + d];
      const long long at = 3 * static_cast<long long>(i) + d;
      double* x = &places[4 * static_cast<long long>(i) + d];
      *x *= factor;
      reference[at] *= factor;
      velocity[at] /= factor;
      moved += (*x - reference[at]) * (*x - reference[at]);
    }
    if (!is_covered(moved, slack[system[i]])) raise_to(&stale[system[i]], 1);
  });
}
