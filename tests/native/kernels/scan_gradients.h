// The gradients' launchers on the problems of scan_oracle.h, against central differences of its
// float64 loops.
#pragma once

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "posemamba/scan_backward_cpu.h"
#include "scan_oracle.h"

namespace oracle {

// Gradients in the order of a problem's inputs.
using Gradients = std::vector<Floats>;

template <class Params>
bool launch(Params& params, size_t (*ask)(const Params*, int32_t),
            pm_status (*run)(const Params*, void*, const pm_parallel*),
            const pm_parallel* parallel) {
  params.size = sizeof params;
  const size_t bytes = ask(&params, parallel == nullptr ? 1 : parallel->threads);
  if (bytes == 0) return false;
  std::vector<char> workspace(bytes, '\xff');
  return run(&params, workspace.data(), parallel) == PM_OK;
}

// Outputs of the sizes of the inputs, NaN where nothing is written.
inline Gradients outputs(const std::vector<Floats*>& inputs) {
  Gradients found;
  for (const Floats* input : inputs) found.emplace_back(input->size(), NAN);
  return found;
}

inline std::vector<Floats*> inputs_of(Cross& c) {
  return {&c.x, &c.x_dbl, &c.weight, &c.bias, &c.A, &c.D};
}

inline std::vector<Floats*> inputs_of(Plain& c) {
  return {&c.u, &c.delta, &c.A, &c.B, &c.C, &c.D, &c.bias, &c.z};
}

inline Gradients gradients(Cross& cross, const Floats& dy, const pm_parallel* parallel) {
  Gradients found = outputs(inputs_of(cross));
  pm_cross_scan_backward_params params{};
  params.forward = cross.p;
  params.dy = dy.data();
  params.dy_stride = cross.p.d_inner;
  params.dx = found[0].data();
  params.dx_dbl = found[1].data();
  params.d_dt_weight = found[2].data();
  params.d_dt_bias = found[3].data();
  params.dA = found[4].data();
  params.dD = found[5].data();
  const bool good =
      launch(params, pm_cpu_cross_scan_backward_workspace, pm_cpu_cross_scan_backward, parallel);
  return good ? found : outputs(inputs_of(cross));
}

// Without a gate, the last input's gradient is not there.
inline Gradients gradients(Plain& plain, const Floats& dy, const pm_parallel* parallel) {
  Gradients found = outputs(inputs_of(plain));
  pm_scan_backward_params params{};
  params.forward = plain.p;
  params.dy = dy.data();
  params.du = found[0].data();
  params.ddelta = found[1].data();
  params.dA = found[2].data();
  params.dB = found[3].data();
  params.dC = found[4].data();
  params.dD = found[5].data();
  params.d_delta_bias = found[6].data();
  params.dz = found[7].data();
  const bool good = launch(params, pm_cpu_scan_backward_workspace, pm_cpu_scan_backward, parallel);
  if (plain.p.z == nullptr) found.pop_back();
  return good ? found : outputs(inputs_of(plain));
}

// How far the gradients are from the growth of sum(y dy) along a random way of each input, over
// what its terms add up to; infinite where there is a NaN.
template <class Problem>
double slope_error(Problem& problem, const Gradients& found, const Floats& dy) {
  const auto value = [&problem, &dy] {
    double sum = 0;
    const std::vector<double> y = problem.answer();
    for (size_t i = 0; i < y.size(); ++i) sum += y[i] * dy[i];
    return sum;
  };
  double worst = 0;
  const std::vector<Floats*> inputs = inputs_of(problem);
  for (size_t k = 0; k < found.size(); ++k) {
    Floats& input = *inputs[k];
    const Floats home = input;
    const Floats way = Random(k + 11).values(static_cast<int64_t>(home.size()), 0x1p-9f);
    Floats ends[2] = {home, home};
    for (size_t i = 0; i < home.size(); ++i) {
      ends[0][i] -= way[i];
      ends[1][i] += way[i];
    }
    input = ends[1];
    double growth = value();
    input = ends[0];
    growth -= value();
    input = home;
    double expected = 0;
    double size = 0;
    for (size_t i = 0; i < home.size(); ++i) {
      // What was really added: float32 rounds.
      const double term = found[k][i] * (double{ends[1][i]} - ends[0][i]);
      expected += term;
      size += std::fabs(term);
    }
    const double error = std::fabs(growth - expected) / size;
    if (!(error <= worst)) worst = std::isnan(error) ? INFINITY : error;
  }
  return worst;
}

}  // namespace oracle
