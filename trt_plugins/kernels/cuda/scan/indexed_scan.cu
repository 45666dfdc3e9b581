// Launcher of CrossSelectiveScan, version 2: the chunked scan along the tables and its merge, or
// the design for any size.
#include <algorithm>

#include "common/validate.h"
#include "cuda/scan/chunked/kernels.h"
#include "cuda/scan/chunked/launch.h"
#include "cuda/scan/indexed/launch.h"
#include "cuda/scan/table_links.cuh"
#include "cuda/scan/table_merge.cuh"
#include "posemamba/scan_cuda.h"

namespace posemamba::cuda {
namespace {

constexpr std::size_t kMostPartial = std::size_t{1} << 40;  // bytes of outputs in step order
constexpr int kMergeEach = 8;                               // positions a thread of the merge takes
constexpr int64_t kMergeLanes = 3072;                       // an SM, from which on it takes so many

int64_t rows_of(const pm_indexed_scan_params& p) { return p.batch * p.directions; }

// Of the outputs in step order, as far as anyone would have them.
std::size_t partial_bytes(const pm_indexed_scan_params& p) {
  int64_t outputs = 0;
  const int64_t row = int64_t{p.d_inner} * static_cast<int64_t>(size_of(p.dtype));
  const bool many = __builtin_mul_overflow(rows_of(p), p.steps, &outputs) ||
                    __builtin_mul_overflow(outputs, row, &outputs);
  return many ? kMostPartial : std::min(kMostPartial, static_cast<std::size_t>(outputs));
}

std::size_t links_bytes(const pm_indexed_scan_params& p) {
  const auto entries = static_cast<std::size_t>(2 * p.positions + p.steps);
  return align_up(sizeof(int) * entries * static_cast<std::size_t>(p.directions));
}

// Step numbers and byte offsets inside a batch item are 32 bits wide; grids have limits.
bool chunkable(const pm_indexed_scan_params& p) {
  const int64_t stride = 4 * std::max(p.x_stride, p.x_dbl_stride);
  return p.d_state <= PM_MAX_STATE && p.d_inner % 8 == 0 && p.batch <= 65535 &&
         p.steps <= INT32_MAX / 2 && p.positions <= INT32_MAX / stride &&
         rows_of(p) * (p.d_inner / 8) <= INT32_MAX && partial_bytes(p) < kMostPartial;
}

Problem problem_of(const pm_indexed_scan_params& p) {
  return {rows_of(p), p.d_inner, static_cast<int32_t>(p.steps), p.d_state, true};
}

struct Choice {
  bool valid;
  bool chunked;
  Plan plan;
};

Choice choose(const pm_indexed_scan_params& p, const pm_cuda_tuning* tuning, const Device& device) {
  const pm_cuda_tuning ask = tuning == nullptr ? pm_cuda_tuning{} : *tuning;
  const bool free = ask.variant == 0 && ask.chunks == 0 && ask.config == 0;
  Choice choice{};
  choice.chunked = chunkable(p);
  if (choice.chunked) choice.plan = make_plan(problem_of(p), &ask, device.multiprocessors);
  choice.valid = choice.chunked ? choice.plan.config >= 0 : free && indexed::supported(p);
  return choice;
}

TableArgs args_of(const pm_indexed_scan_params& p, const Plan& plan, void* workspace) {
  const ChunkedLayout layout = chunked_layout(rows_of(p), p.steps, p.d_inner, p.dtype, plan);
  TableArgs a{};
  static_cast<CommonArgs&>(a) = common_args_of(p, plan, layout, workspace);
  a.steps = static_cast<int>(p.steps), a.positions = static_cast<int>(p.positions);
  a.scan_index = p.scan_index, a.neighbour_index = p.neighbour_index;
  a.reset_length = p.reset_length;
  a.first = reinterpret_cast<int*>(static_cast<unsigned char*>(workspace) + layout.total());
  a.last = a.first + p.directions * p.positions;
  a.next = a.last + p.directions * p.positions;
  return a;
}

cudaError_t link(const pm_indexed_scan_params& p, const TableArgs& a, const Device& device,
                 cudaStream_t stream) {
  return start(&table_link_kernel, dim3(static_cast<unsigned>(p.directions)), dim3(kLinkThreads), a,
               true, device, stream);
}

cudaError_t merge(const pm_indexed_scan_params& p, TableArgs& a, const Device& device,
                  cudaStream_t stream) {
  const unsigned lanes = merge_block(p.d_inner, p.dtype, kTableMergeLanes).x;
  const dim3 block(lanes, std::min(kMergeThreads / lanes, kTableMergePositions / 2u));
  // Many amortise what a block finds first; two spread a small problem over more SMs.
  const bool many = p.batch * p.positions * lanes >= kMergeLanes * device.multiprocessors;
  const int each = many ? kMergeEach : 2;
  a.merge_positions = std::min(static_cast<int>(block.y) * each, kTableMergePositions);
  const auto across =
      static_cast<unsigned>((p.positions + a.merge_positions - 1) / a.merge_positions);
  const auto kernel =
      p.dtype == PM_FLOAT16 ? &table_merge_kernel<__half> : &table_merge_kernel<float>;
  return start(kernel, dim3(across, static_cast<unsigned>(p.batch)), block, a, true, device,
               stream);
}

cudaError_t run_chunked(const pm_indexed_scan_params& p, const Plan& plan, void* workspace,
                        const Device& device, cudaStream_t stream) {
  TableArgs a = args_of(p, plan, workspace);
  const Kernel kernel = p.dtype == PM_FLOAT16 ? table_kernel_f16(plan.config, p.dt_rank)
                                              : table_kernel_f32(plan.config, p.dt_rank);
  cudaError_t error = launch_chunked(kernel, plan, rows_of(p), device, stream, &a);
  if (error == cudaSuccess) error = link(p, a, device, stream);
  return error == cudaSuccess ? merge(p, a, device, stream) : error;
}

}  // namespace
}  // namespace posemamba::cuda

extern "C" size_t pm_cuda_indexed_scan_workspace(const pm_indexed_scan_params* params,
                                                 const pm_cuda_tuning* tuning) {
  using namespace posemamba::cuda;
  if (posemamba::validate_layout(params) != PM_OK) return 0;
  const Device device = current_device();
  if (device.multiprocessors == 0) return 0;
  const pm_indexed_scan_params& p = *params;
  const Choice choice = choose(p, tuning, device);
  if (!choice.valid) return 0;
  if (!choice.chunked) return indexed::workspace_bytes(p);
  return chunked_layout(rows_of(p), p.steps, p.d_inner, p.dtype, choice.plan).total() +
         links_bytes(p);
}

// Smaller sizes may be another design's.
extern "C" size_t pm_cuda_indexed_scan_workspace_limit(const pm_indexed_scan_params* largest) {
  using namespace posemamba::cuda;
  if (posemamba::validate_layout(largest) != PM_OK) return 0;
  const pm_indexed_scan_params& p = *largest;
  if (!chunkable(p) && !indexed::supported(p)) return 0;
  if (p.d_state > PM_MAX_STATE || p.d_inner % 8 != 0) return indexed::workspace_bytes(p);
  const std::size_t chunked =
      align_up(partial_bytes(p)) + carry_limit(problem_of(p)) + links_bytes(p);
  return std::max(indexed::workspace_bytes(p), chunked);
}

extern "C" cudaError_t pm_cuda_indexed_scan(const pm_indexed_scan_params* params,
                                            const pm_cuda_tuning* tuning, void* workspace,
                                            cudaStream_t stream) {
  using namespace posemamba::cuda;
  const pm_status status = posemamba::validate(params);
  if (status != PM_OK) return error_of(status);
  const Device device = current_device();
  if (device.multiprocessors == 0) return cudaErrorNoDevice;
  const pm_indexed_scan_params& p = *params;
  if (!chunkable(p) && !indexed::supported(p)) return cudaErrorNotSupported;
  const Choice choice = choose(p, tuning, device);
  if (workspace == nullptr || !choice.valid) return cudaErrorInvalidValue;
  return choice.chunked ? run_chunked(p, choice.plan, workspace, device, stream)
                        : indexed::run(p, workspace, device, stream);
}
