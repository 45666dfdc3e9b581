// Device memory, and problems with the answers they should give, for the cases that need a GPU.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "node.h"
#include "posemamba/scan_cuda.h"

namespace harness {

// Device bytes between two guard bands, all set to 0xff (NaN in both types) at first.
class Buffer {
 public:
  explicit Buffer(size_t bytes);
  ~Buffer();
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  void* data() const { return base_ + kGuard; }
  size_t size() const { return bytes_; }
  void poison();
  std::vector<unsigned char> bytes() const;
  bool guards_intact() const;

 private:
  static constexpr size_t kGuard = 4096;
  unsigned char* base_ = nullptr;
  size_t bytes_;
};

// A node with its inputs on the device and its answer by float64 loops on the host.
struct Problem {
  Node node;
  std::vector<std::unique_ptr<Buffer>> inputs;
  std::vector<double> answer;

  std::vector<const void*> pointers() const;
  size_t output_bytes() const { return answer.size() * (node.type == DataType::kHALF ? 2u : 4u); }
};
Problem make_problem(const std::string& op, const Sizes& sizes, DataType type, uint64_t seed);

// Largest difference of an output from the answer, over the answer's largest value.
double error_of(const Problem& problem, const std::vector<unsigned char>& output);

// The launcher of libposemamba_cuda.so, called without any plugin.
class Launcher {
 public:
  Launcher();
  bool ready() const { return cross_ != nullptr && scan_ != nullptr; }
  // The output's bytes, or nothing if the launcher refuses.
  std::vector<unsigned char> run(const Problem& problem, const pm_cuda_tuning& tuning) const;
  size_t workspace(const Node& node, const pm_cuda_tuning& tuning) const;

 private:
  void* handle_;
  decltype(&pm_cuda_cross_scan) cross_ = nullptr;
  decltype(&pm_cuda_scan) scan_ = nullptr;
  decltype(&pm_cuda_cross_scan_workspace) cross_workspace_ = nullptr;
  decltype(&pm_cuda_scan_workspace) scan_workspace_ = nullptr;
};

// What a tactic's number means, from docs/design/tensorrt-plugin.md.
pm_cuda_tuning tuning_of_tactic(int32_t tactic);

int32_t enqueue(nvinfer1::IPluginV3& plugin, const Problem& problem, const Buffer& output,
                const Buffer& workspace, cudaStream_t stream);

}  // namespace harness
