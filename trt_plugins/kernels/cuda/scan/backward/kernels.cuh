// The two kernels over chunks: a thread block takes some channels of a chunk.
#ifndef POSEMAMBA_KERNELS_CUDA_BACKWARD_KERNELS_CUH_
#define POSEMAMBA_KERNELS_CUDA_BACKWARD_KERNELS_CUH_

#include "cuda/scan/backward/lane.cuh"

namespace posemamba::cuda::backward {

// Rows: CrossRows or ScanRows, which bring a chunk in and its gradients out.
template <class S, class Rows>
__global__ void __launch_bounds__(kMostWarps * 32, 8)
    carry_kernel(const __grid_constant__ typename Rows::Args a) {
  float* shared = reinterpret_cast<float*>(dynamic_shared());
  const Place at = place_of<S>(a.problem);
  Rows(a, at, shared).load();
  Lane<S>(a.problem, at, shared).carry();
}

template <class S, class Rows>
__global__ void __launch_bounds__(kMostWarps * 32)
    gradient_kernel(const __grid_constant__ typename Rows::Args a) {
  float* shared = reinterpret_cast<float*>(dynamic_shared());
  const Place at = place_of<S>(a.problem);
  Rows rows(a, at, shared);
  rows.load();
  Lane<S>(a.problem, at, shared).template gradients<Rows::kGated>();
  __syncthreads();
  rows.store();
}

}  // namespace posemamba::cuda::backward
#endif  // POSEMAMBA_KERNELS_CUDA_BACKWARD_KERNELS_CUH_
