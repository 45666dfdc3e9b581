// What the convolutions for whole frames write against conv_proj and the preparing kernel, for
// bench.cu.
#pragma once

#include <cstring>
#include <string>

#include "cases.h"
#include "cuda/block/conv_proj/designs.h"
#include "cuda/scan/split_channel/launch.h"

namespace posemamba::bench {

// What a split-channel scan reads, as it lies in memory.
struct Inputs {
  std::vector<uint16_t> u;       // [position][channel], read by the tail
  std::vector<uint16_t> panels;  // [item and walk and panel][steps4][8]
  Floats states;                 // [item and direction][steps4 / 4][B, C][4]
  Floats raw;                    // [item and direction][steps4][rank]
};

class PreparedCase {
 public:
  PreparedCase(Shape s, const Device& device) : tail_(s, device), conv_(conv_shape(s, tail_)) {
    scan_ = tail_.params.scan;
    scan_.x = conv_.params.u, scan_.x_dbl = conv_.params.x_dbl;
    bytes_ = split_channel::prepared_bytes(scan_);
    memory_ = conv_.memory.bytes(bytes_);
    to_ = split_channel::prepared_in(memory_, scan_);
    args_ = tail_.scan;
    args_.x = scan_.x, args_.x_dbl = scan_.x_dbl;
  }

  // Whether every design writes what the two launches do: the same u and panels, and other rows as
  // near as x_dbl rounded to float16 lets them be; and the same bits in every grid.
  bool check(const Device& device, std::string* said) {
    const Inputs two = made_by([&] {
      const cudaError_t error = launch_conv_proj_single(conv_.params, device, nullptr);
      return error != cudaSuccess
                 ? error
                 : split_channel::launch_prepare(scan_, to_, args_, device, nullptr);
    });
    bool good = true;
    if (conv_proj_prepares(conv_.params, device)) {
      good = agrees("few frames", two, made_by([&] {
                      return launch_conv_proj_prepared(conv_.params, args_, to_, device, nullptr);
                    }),
                    said);
    }
    good = sums_agree(device, said) && good;
    if (!conv_proj_walks(scan_, device)) return good;
    Inputs first;
    for (const int blocks : {device.multiprocessors, 1, 5}) {
      Device few = device;
      few.multiprocessors = blocks;
      Inputs made =
          made_by([&] { return launch_conv_proj_walked(conv_.params, args_, to_, few, nullptr); });
      if (first.u.empty()) {
        good = agrees("all frames", two, made, said) && good;
        first = std::move(made);
      } else if (!same(first.states, made.states) || !same(first.raw, made.raw) ||
                 first.panels != made.panels || first.u != made.u) {
        *said += " DIFFERS between grids";
        good = false;
      }
    }
    return good;
  }

 private:
  static Shape conv_shape(Shape s, const Tail& tail) {
    s.width *= 2, s.columns = static_cast<int>(tail.params.scan.x_dbl_stride);
    return s;
  }

  // NaN before, so that what nobody wrote shows; steps past the end are nobody's but B and C's.
  Inputs made_by(const std::function<cudaError_t()>& launch) const {
    conv_.poison();
    CHECK(cudaMemset(memory_, 0xff, bytes_));
    CHECK(launch());
    CHECK(cudaDeviceSynchronize());
    const auto steps = static_cast<std::size_t>(scan_.batch) * to_.steps4;
    const auto rows = steps * static_cast<std::size_t>(scan_.directions);
    Inputs made;
    made.u.resize(conv_.rows * static_cast<std::size_t>(scan_.d_inner));
    made.panels.resize(steps * to_.walks * static_cast<std::size_t>(scan_.d_inner));
    CHECK(cudaMemcpy(made.u.data(), scan_.x, made.u.size() * 2, cudaMemcpyDeviceToHost));
    CHECK(cudaMemcpy(made.panels.data(), to_.u, made.panels.size() * 2, cudaMemcpyDeviceToHost));
    made.states = read_floats(to_.bc, rows * 2 * kState);
    made.raw = read_floats(to_.raw, rows * scan_.dt_rank);
    const auto left = static_cast<std::size_t>(to_.steps4 - args_.steps);
    clear_ends(made.panels, 8, left), clear_ends(made.raw, scan_.dt_rank, left);
    return made;
  }

  template <class T>
  void clear_ends(std::vector<T>& rows, int width, std::size_t left) const {
    const std::size_t row = static_cast<std::size_t>(to_.steps4) * width;
    for (std::size_t end = row; end <= rows.size(); end += row) {
      std::fill_n(rows.begin() + static_cast<std::ptrdiff_t>(end - left * width), left * width,
                  T{});
    }
  }

  static bool same(const Floats& a, const Floats& b) {
    return std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
  }

  // Error relative to the root mean square; infinite where one is NaN. Steps past the end of B and
  // C are not compared: what lies there is only finite.
  double off(const Floats& expected, const Floats& found, bool states) const {
    double error = 0.0, size = 1e-30;
    for (std::size_t i = 0; i < expected.size(); ++i) {
      if (std::isnan(found[i])) return INFINITY;
      const std::size_t group = i / (8 * kState) % (static_cast<std::size_t>(to_.steps4) / 4);
      if (states && group * 4 + i % 4 >= static_cast<std::size_t>(args_.steps)) continue;
      error += std::pow(static_cast<double>(found[i]) - expected[i], 2);
      size += std::pow(static_cast<double>(expected[i]), 2);
    }
    return std::sqrt(error / size);
  }

  bool agrees(const char* name, const Inputs& two, const Inputs& one, std::string* said) const {
    const double states = off(two.states, one.states, true), raw = off(two.raw, one.raw, false);
    const bool equal = two.u == one.u && two.panels == one.panels;
    char text[80];
    std::snprintf(text, sizeof text, " %s %.1e %.1e%s", name, states, raw, equal ? "" : " OTHER u");
    *said += text;
    // One rounding to float16 of the terms there, of their sum or none here.
    return equal && states < 1e-3 && raw < 1e-3;
  }

  // Scans of what is prepared with float16 sums over a channel's states, against float32 ones.
  bool sums_agree(const Device& device, std::string* said) {
    double worst = 0.0;
    for (const OnePass config : {kTwoStates, kInTurns}) {
      Floats sums[2];
      for (const int half : {0, 1}) {
        scan_.half_sums = half;
        CHECK(split_channel::launch_scan(scan_, config, to_, device, nullptr, &args_));
        CHECK(cudaDeviceSynchronize());
        sums[half] =
            read_halves(args_.partial, scan_.directions * conv_.rows * std::size_t(scan_.d_inner));
      }
      worst = std::max(worst, off(sums[0], sums[1], false));
    }
    scan_.half_sums = 0;
    char text[40];
    std::snprintf(text, sizeof text, " half sums %.1e", worst);
    *said += text;
    // Four roundings of at most 2^-11, of terms that may be larger than their sum.
    return worst > 0.0 && worst < 3e-3;
  }

  Tail tail_;
  Conv conv_;
  pm_cross_scan_params scan_{};
  CrossArgs args_{};
  split_channel::Prepared to_{};
  void* memory_ = nullptr;
  std::size_t bytes_ = 0;
};

}  // namespace posemamba::bench
