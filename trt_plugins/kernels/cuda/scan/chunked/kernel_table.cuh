// Instantiates the kernels of one type over every configuration.
#pragma once

#include <utility>

#include "cuda/scan/chunked/config_list.h"
#include "cuda/scan/chunked/cross_kernel.cuh"
#include "cuda/scan/chunked/kernels.h"
#include "cuda/scan/selective_scan.cuh"

namespace posemamba::cuda {

template <class C, typename T, int Rank, class Walk>
Kernel cross_entry() {
  return {reinterpret_cast<const void*>(&cross_scan_kernel<C, T, Rank, Walk>),
          sizeof(CrossShared<C, T, Rank, Walk>)};
}

// Ranks 4, 8 and 16 are those of the published models; 0 stands for any other.
template <class C, typename T, class Walk>
Kernel cross_of_rank(int32_t rank) {
  if constexpr (C::kStates == 16) {
    if (rank == 4) return cross_entry<C, T, 4, Walk>();
    if (rank == 8) return cross_entry<C, T, 8, Walk>();
    if (rank == 16) return cross_entry<C, T, 16, Walk>();
  }
  return cross_entry<C, T, 0, Walk>();
}

template <typename T, class Walk, std::size_t... I>
Kernel cross_of(int32_t config, int32_t rank, std::index_sequence<I...>) {
  Kernel kernel{};
  ((config == static_cast<int32_t>(I)
        ? void(kernel = cross_of_rank<std::tuple_element_t<I, Configs>, T, Walk>(rank))
        : void()),
   ...);
  return kernel;
}

template <class C, typename T>
Kernel scan_entry() {
  return {reinterpret_cast<const void*>(&selective_scan_kernel<C, T>), 0};
}

template <typename T, std::size_t... I>
Kernel scan_of(int32_t config, std::index_sequence<I...>) {
  Kernel kernel{};
  ((config == static_cast<int32_t>(I)
        ? void(kernel = scan_entry<std::tuple_element_t<I, Configs>, T>())
        : void()),
   ...);
  return kernel;
}

}  // namespace posemamba::cuda
