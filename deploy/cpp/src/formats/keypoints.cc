#include "formats/keypoints.h"

#include <string>

#include "core/failure.h"

namespace posemamba::runtime {
namespace {

constexpr bool table_fits() {
  for (const KeypointFormat& format : kFormats) {
    if (format.used > kMostUsed) return false;
  }
  return true;
}
static_assert(table_fits(), "a format uses more joints than a mask has room for");

// As posemamba has it: BODY_25B is body25b.
std::string plain(const char* name) {
  std::string result;
  for (const char* c = name; *c != '\0'; ++c) {
    if (*c == '-' || *c == '_') continue;
    result += *c >= 'A' && *c <= 'Z' ? static_cast<char>(*c - 'A' + 'a') : *c;
  }
  return result;
}

}  // namespace

const KeypointFormat& find_format(const char* name) {
  std::string known;
  const std::string wanted = name == nullptr ? "" : plain(name);
  for (const KeypointFormat& format : kFormats) {
    if (wanted == format.name) return format;
    known += (known.empty() ? "" : ", ") + std::string(format.name);
  }
  fail(PM_BAD_ARGUMENT, "keypoints is '%.40s': use one of %s", name == nullptr ? "NULL" : name,
       known.c_str());
}

uint32_t filled_joints(const KeypointFormat& format, uint32_t seen) {
  uint32_t filled = 0;
  for (size_t i = 0; i < format.term_count; ++i) {
    const Term& term = format.terms[i];
    if ((seen >> term.source & 1U) == 0) filled |= 1U << term.joint;
  }
  return filled;
}

void to_joints(const KeypointFormat& format, const double* points, double width, double height,
               float* joints) {
  double sums[kJoints][2] = {};
  for (size_t i = 0; i < format.term_count; ++i) {
    const Term& term = format.terms[i];
    sums[term.joint][term.axis] += term.weight * points[2 * term.source + term.axis];
  }
  const double scale = 2.0 / width;
  for (int joint = 0; joint < kJoints; ++joint) {
    joints[2 * joint] = static_cast<float>(sums[joint][0] * scale - 1.0);
    joints[2 * joint + 1] = static_cast<float>(sums[joint][1] * scale - height / width);
  }
}

void mirror(const float* values, int64_t frames, int channels, float* mirrored) {
  for (int64_t frame = 0; frame < frames; ++frame) {
    const float* from = values + frame * kJoints * channels;
    float* to = mirrored + frame * kJoints * channels;
    for (int joint = 0; joint < kJoints; ++joint) {
      const float* source = from + kMirror[static_cast<size_t>(joint)] * channels;
      to[joint * channels] = -source[0];
      for (int c = 1; c < channels; ++c) to[joint * channels + c] = source[c];
    }
  }
}

}  // namespace posemamba::runtime
