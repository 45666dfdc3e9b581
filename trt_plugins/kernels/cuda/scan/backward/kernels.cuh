// The two kernels over chunks, a thread block takes some channels of a chunk; and their launches.
#pragma once

#include "cuda/device/start.h"
#include "cuda/scan/backward/around.h"
#include "cuda/scan/backward/lane.cuh"
#include "cuda/scan/backward/plan.h"

namespace posemamba::cuda::backward {

// Rows: CrossRows or ScanRows, which bring a chunk in and its gradients out. Of `carry` an SM has
// registers for 16 warps, of `gradient` for 12.
template <class S, class Rows>
__global__ void __launch_bounds__(kMostWarps * 32, 16 / kMostWarps)
    carry_kernel(const __grid_constant__ typename Rows::Args a) {
  float* shared = reinterpret_cast<float*>(dynamic_shared());
  __shared__ Place at;
  if (thread_number() == 0) at = place_of<S>(a.problem);
  __syncthreads();
  Rows(a, at, shared).load();
  Lane<S>(a.problem, at, shared).carry();
}

template <class S, class Rows>
__global__ void __launch_bounds__(kMostWarps * 32, 12 / kMostWarps)
    gradient_kernel(const __grid_constant__ typename Rows::Args a) {
  float* shared = reinterpret_cast<float*>(dynamic_shared());
  __shared__ Place at;
  if (thread_number() == 0) at = place_of<S>(a.problem);
  __syncthreads();
  Rows(a, at, shared).load();
  Lane<S>(a.problem, at, shared).template gradients<Rows::kGated>();
  __syncthreads();
  Rows(a, at, shared).store();
}

// Chunks alone, what enters each, and the gradients from that.
template <class S, class Rows>
cudaError_t launch_chunks(const typename Rows::Args& a, const Plan& plan, int64_t rows,
                          const Device& device, cudaStream_t stream) {
  const int threads = plan.warps * 32;
  cudaError_t error =
      start(carry_kernel<S, Rows>, plan.blocks, threads, a, device, stream, plan.carry_bytes());
  if (error != cudaSuccess) return error;
  error = hand_over(a.problem, rows, plan.states, device, stream);
  if (error != cudaSuccess) return error;
  return start(gradient_kernel<S, Rows>, plan.blocks, threads, a, device, stream,
               plan.gradient_bytes());
}

}  // namespace posemamba::cuda::backward
