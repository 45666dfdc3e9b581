#include "block_cpu.h"

#include <cmath>
#include <cstring>

namespace posemamba::ort {
namespace {

struct Half {
  uint16_t bits;
};

float bits(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

float load(float value) { return value; }
float load(Half half) {
  const uint32_t sign = (half.bits & 0x8000u) << 16, magnitude = half.bits & 0x7fffu;
  if (magnitude >= 0x7c00u) return bits(sign | 0x7f800000u | (magnitude & 0x3ffu) << 13);
  // The exponent, rebiased by a product, which subnormals need no case of their own for.
  const float value = bits(magnitude << 13) * 0x1p112f;
  return sign != 0 ? -value : value;
}

void store(float* to, float value) { *to = value; }
void store(Half* to, float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  const uint16_t sign = static_cast<uint16_t>(bits >> 16 & 0x8000u);
  const float size = std::fabs(value);
  uint16_t magnitude;
  if (!(size < 65520.0f)) {  // rounds to infinity, is infinite, or is no number
    magnitude = size != size ? 0x7e00 : 0x7c00;
  } else if (size < 0x1p-14f) {  // a multiple of 2^-24: the sum rounds to nearest even
    const float shifted = size + 0.5f;
    std::memcpy(&bits, &shifted, sizeof bits);
    magnitude = static_cast<uint16_t>(bits & 0x7fffu);
  } else {
    std::memcpy(&bits, &size, sizeof bits);
    bits += 0xfffu + (bits >> 13 & 1u);  // to nearest even
    magnitude = static_cast<uint16_t>((bits >> 13) - (112u << 10));
  }
  to->bits = sign | magnitude;
}

float silu(float x) { return x / (1.0f + std::exp(-x)); }

struct Moments {
  float mean, scale;
};

// Mean and reciprocal deviation of a row given by its elements.
template <class Element>
Moments moments_of(int32_t channels, float epsilon, Element element) {
  float sum = 0.0f, squares = 0.0f;
  for (int32_t c = 0; c < channels; ++c) sum += element(c);
  const float mean = sum / static_cast<float>(channels);
  for (int32_t c = 0; c < channels; ++c) {
    const float off = element(c) - mean;
    squares += off * off;
  }
  return {mean, 1.0f / std::sqrt(squares / static_cast<float>(channels) + epsilon)};
}

template <class T>
void conv_silu_of(const pm_conv_silu_params& p) {
  const T* x = static_cast<const T*>(p.x);
  T* y = static_cast<T*>(p.y);
  for (int64_t row = 0; row < p.batch * p.frames; ++row) {
    const int64_t frame = row % p.frames;
    for (int32_t joint = 0; joint < p.joints; ++joint) {
      for (int32_t c = 0; c < p.channels; ++c) {
        float sum = p.bias[c];
        for (int32_t tap = 0; tap < 9; ++tap) {
          const int64_t t = frame + tap / 3 - 1;
          const int32_t j = joint + tap % 3 - 1;
          if (t < 0 || t >= p.frames || j < 0 || j >= p.joints) continue;
          const int64_t position = (row - frame + t) * p.joints + j;
          sum += p.weight[tap * p.channels + c] * load(x[position * p.x_stride + c]);
        }
        store(y + (row * p.joints + joint) * p.channels + c, silu(sum));
      }
    }
  }
}

template <class T>
void gated_norm_of(const pm_gated_norm_params& p) {
  for (int64_t row = 0; row < p.rows; ++row) {
    const T* y = static_cast<const T*>(p.y) + row * p.channels;
    const T* z = static_cast<const T*>(p.z) + row * p.z_stride;
    T* out = static_cast<T*>(p.out) + row * p.channels;
    const Moments m = moments_of(p.channels, p.epsilon, [y](int32_t c) { return load(y[c]); });
    for (int32_t c = 0; c < p.channels; ++c) {
      const float normed = (load(y[c]) - m.mean) * m.scale * p.gamma[c] + p.beta[c];
      store(out + c, normed * silu(load(z[c])));
    }
  }
}

template <class T>
void add_norm_of(const pm_add_norm_params& p) {
  for (int64_t row = 0; row < p.rows; ++row) {
    const float* residual = p.residual + row * p.channels;
    const T* branch = static_cast<const T*>(p.branch) + row * p.channels;
    float* stream = p.stream + row * p.channels;
    T* out = static_cast<T*>(p.out) + row * p.channels;
    const auto element = [stream](int32_t c) { return stream[c]; };
    for (int32_t c = 0; c < p.channels; ++c) stream[c] = residual[c] + load(branch[c]);
    if (p.shared_gamma != nullptr) {
      const Moments m = moments_of(p.channels, p.shared_epsilon, element);
      for (int32_t c = 0; c < p.channels; ++c) {
        stream[c] = (stream[c] - m.mean) * m.scale * p.shared_gamma[c] + p.shared_beta[c];
      }
    }
    const Moments m = moments_of(p.channels, p.epsilon, element);
    for (int32_t c = 0; c < p.channels; ++c) {
      store(out + c, (stream[c] - m.mean) * m.scale * p.gamma[c] + p.beta[c]);
    }
  }
}

}  // namespace

void conv_silu_cpu(const pm_conv_silu_params& p) {
  p.dtype == PM_FLOAT16 ? conv_silu_of<Half>(p) : conv_silu_of<float>(p);
}

void gated_norm_cpu(const pm_gated_norm_params& p) {
  p.dtype == PM_FLOAT16 ? gated_norm_of<Half>(p) : gated_norm_of<float>(p);
}

void add_norm_cpu(const pm_add_norm_params& p) {
  p.dtype == PM_FLOAT16 ? add_norm_of<Half>(p) : add_norm_of<float>(p);
}

}  // namespace posemamba::ort
