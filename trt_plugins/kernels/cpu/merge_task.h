// Partial sums become y: one task, some positions of a chunk of channels of one batch item.
#pragma once

#include "cpu/simd_io.h"
#include "cpu/tasks.h"

namespace posemamba {
namespace {

template <class T>
static void merge_rows(const Merge& m, int64_t item, int64_t chunk, int64_t begin, int64_t end) {
  const int64_t part_stride = m.positions * kChunk;
  const float* sums = m.sums + (item * m.chunks + chunk) * m.parts * part_stride;
  T* y = static_cast<T*>(m.y) + (m.first_item + item) * m.positions * m.y_stride + chunk * kChunk;
  const int64_t left = m.d_inner - chunk * kChunk;
  const int channels = static_cast<int>(left < kChunk ? left : int64_t{kChunk});
  for (int64_t row = begin; row < end; ++row) {
    for (int c = 0; c < channels; c += kLanes) {
      const float* from = sums + row * kChunk + c;
      vf sum = load(from);
      for (int64_t part = 1; part < m.parts; ++part) sum += load(from + part * part_stride);
      store(y + row * m.y_stride + c, sum, channels - c);
    }
  }
}

static void merge_task(void* merge, int64_t index) {
  const FlushDenormals mode;
  const Merge& m = *static_cast<const Merge*>(merge);
  const int64_t tile = index % m.tiles;
  const int64_t chunk = index / m.tiles % m.chunks;
  const int64_t item = index / m.tiles / m.chunks;
  const int64_t size = (m.positions + m.tiles - 1) / m.tiles;
  const int64_t begin = tile * size;
  const int64_t end = begin + size < m.positions ? begin + size : m.positions;
  const auto merge_some = m.dtype == PM_FLOAT32 ? merge_rows<float> : merge_rows<Half>;
  merge_some(m, item, chunk, begin, end);
}

}  // namespace
}  // namespace posemamba
