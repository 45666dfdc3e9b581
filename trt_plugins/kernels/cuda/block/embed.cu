// The embedding: keypoints to the residual stream, and the first block's norm and in_proj.
#include "cuda/block/complete.h"
#include "cuda/block/tail.h"
#include "cuda/block/tail_single/next.cuh"
#include "cuda/device/launch.h"

namespace posemamba::cuda {
namespace {

// The network's first rows: two keypoint coordinates to D channels, joint position, then as after a
// block.
template <int D>
__global__ void __launch_bounds__(256, 2) embed_kernel(const __grid_constant__ pm_embed_params a) {
  constexpr int kWarps = 8;
  constexpr int kCount = kTailRows / kWarps;
  using Rows = RowGroup<D, kCount>;
  extern __shared__ __align__(16) unsigned char memory[];
  auto& shared = *reinterpret_cast<TailShared<D, kTailRows>*>(memory);
  const Place place = place_of<kWarps, kTailRows>(static_cast<int>(a.frames) * a.joints);
  for (int i = static_cast<int>(threadIdx.x); i < 2 * D; i += 32 * kWarps) {
    shared.vectors.next_norm[i / D][i % D] = __ldg(a.next_norm + i);
  }
  __syncthreads();    // the parameters are there
  dependency_wait();  // the keypoints may come from an earlier launch
  dependency_release();
  Rows rows;
#pragma unroll
  for (int r = 0; r < kCount; ++r) {
    const int position = place.position(place.row0 + r);
    const float2 point =
        __ldg(reinterpret_cast<const float2*>(a.keypoints_2d) + place.item + position);
    const float* joint = a.joint_position + position % a.joints * D;
#pragma unroll
    for (int q = 0; q < Rows::kQuads; ++q) {
      rows.quad[r][q] = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
      if (!Rows::used(place.lane)) continue;
      const int channel = Rows::channel(q, place.lane);
      const float4 low = read_quad(a.weight + channel * 2);       // two channels, x and y of each
      const float4 high = read_quad(a.weight + channel * 2 + 4);  // the next two
      const float4 product = make_float4(
          fmaf(point.x, low.x, point.y * low.y), fmaf(point.x, low.z, point.y * low.w),
          fmaf(point.x, high.x, point.y * high.y), fmaf(point.x, high.z, point.y * high.w));
      rows.quad[r][q] = product + read_quad(a.bias + channel) + read_quad(joint + channel);
    }
  }
  run_next<kWarps>(shared, a.next, a.stream, place, rows);
}

template <int D>
cudaError_t run_embed(const pm_embed_params& params, const Device& device, cudaStream_t stream) {
  pm_embed_params copy = params;
  void* args[] = {&copy};
  return launch(reinterpret_cast<const void*>(&embed_kernel<D>),
                tail_grid(params.frames * params.joints, params.batch, kTailRows), dim3(256), args,
                true, device, stream, sizeof(TailShared<D, kTailRows>));
}

}  // namespace
}  // namespace posemamba::cuda

extern "C" cudaError_t pm_cuda_embed(const pm_embed_params* params, cudaStream_t stream) {
  using namespace posemamba::cuda;
  if (params == nullptr || params->keypoints_2d == nullptr || params->next_norm == nullptr ||
      !on_16_bytes_all({params->stream, params->weight, params->bias, params->joint_position}) ||
      params->next.xz == nullptr || !complete(params->next) || params->batch < 1 ||
      params->batch > 65535 || params->frames < 1 || params->joints < 1 ||
      params->frames > INT32_MAX / params->joints) {
    return cudaErrorInvalidValue;
  }
  if (!pm_fused_width(params->d_model)) return cudaErrorNotSupported;
  const Device device = current_device();
  if (device.multiprocessors == 0) return cudaErrorNoDevice;
  if (params->d_model == 64) return run_embed<64>(*params, device, stream);
  if (params->d_model == 128) return run_embed<128>(*params, device, stream);
  return run_embed<256>(*params, device, stream);
}
