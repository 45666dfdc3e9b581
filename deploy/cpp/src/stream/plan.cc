#include "stream/plan.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>

#include "core/failure.h"

namespace posemamba::runtime {
namespace {

constexpr int kLargestImage = 1 << 16;
constexpr double kHighestRate = 10000.0;
constexpr double kMostStretched = 1000.0;

template <class Options>
Options read(const Options* options, size_t first_version, const char* type, const char* filler) {
  if (options == nullptr) fail(PM_BAD_ARGUMENT, "%s is NULL: fill one with %s", type, filler);
  const size_t given = options->struct_size;
  if (given < first_version) {
    fail(PM_BAD_ARGUMENT, "%s.struct_size is %zu, it has at least %zu bytes: fill it with %s first",
         type, given, first_version, filler);
  }
  Options known{};
  std::memcpy(&known, options, std::min(given, sizeof known));
  const auto* bytes = reinterpret_cast<const unsigned char*>(options);
  for (size_t i = sizeof known; i < given; ++i) {
    if (bytes[i] != 0) {
      fail(PM_BAD_ARGUMENT,
           "%s has %zu bytes and sets fields that library %s does not know: use the library of "
           "that header",
           type, given, pm_version());
    }
  }
  return known;
}

void check_flag(int value, const char* name) {
  if (value != 0 && value != 1) fail(PM_BAD_ARGUMENT, "%s is %d: give 0 or 1", name, value);
}

void check_number(double value, double low, double high, const char* name, const char* fix) {
  if (!(value >= low && value <= high)) {
    fail(PM_BAD_ARGUMENT, "%s is %g: give %s", name, value, fix);
  }
}

int resolve_window(int asked, const ModelFacts& model) {
  const Sizes& sizes = model.sizes;
  if (asked < 0) fail(PM_BAD_ARGUMENT, "window is %d: give frames, or 0 for the model's", asked);
  if (asked == 0 && sizes.frames_max == 0) {
    fail(PM_BAD_MODEL,
         "'%s' does not say how many frames it takes (no metadata posemamba.max_frames): set "
         "window, or export it again",
         model.path.c_str());
  }
  if (asked == 0) return static_cast<int>(sizes.frames_max);
  const bool fits =
      asked >= sizes.frames_min && (sizes.frames_max == 0 || asked <= sizes.frames_max);
  if (fits) return asked;
  if (sizes.frames_min == sizes.frames_max) {
    fail(
        PM_BAD_ARGUMENT,
        "window is %d, but '%s' was exported for exactly %lld frames: leave window at 0, or export "
        "it without fixed frames",
        asked, model.path.c_str(), static_cast<long long>(sizes.frames_max));
  }
  fail(PM_BAD_ARGUMENT, "window is %d, but '%s' takes %lld to %lld frames: give one of these or 0",
       asked, model.path.c_str(), static_cast<long long>(sizes.frames_min),
       static_cast<long long>(sizes.frames_max));
}

void resolve_policy(const pm_stream_options& options, Plan& plan) {
  const char* policy = options.policy == nullptr ? "NULL" : options.policy;
  const bool lag = std::strcmp(policy, "lag") == 0;
  plan.lag = 0;
  plan.blend = std::strcmp(policy, "blend") == 0;
  if (std::strcmp(policy, "center") == 0) {
    plan.lag = (plan.window - 1) / 2;
  } else if (lag) {
    plan.lag = options.lag;
  } else if (!plan.blend && std::strcmp(policy, "last") != 0) {
    fail(PM_BAD_ARGUMENT, "policy is '%.40s': use last, center, lag or blend", policy);
  }
  if (lag && (options.lag < 0 || options.lag >= plan.window)) {
    fail(PM_BAD_ARGUMENT, "lag is %d, a window has %d frames: give 0 to %d", options.lag,
         plan.window, plan.window - 1);
  }
  if (!lag && options.lag != 0) {
    fail(PM_BAD_ARGUMENT, "lag is %d, which only policy 'lag' uses: the policy is '%s'",
         options.lag, policy);
  }
  if (options.hop < 0) fail(PM_BAD_ARGUMENT, "hop is %d: give frames, or 0 for 1", options.hop);
  plan.hop = std::max(options.hop, 1);
  if (plan.blend && plan.hop > std::max(plan.window - 1, 1)) {
    fail(PM_BAD_ARGUMENT,
         "hop is %d: policy 'blend' needs windows that overlap, so at most %d of a window of %d",
         plan.hop, std::max(plan.window - 1, 1), plan.window);
  }
}

// A window that spans more frames than may wait would never be due; and a frame that spans many of
// the model's is followed by as many windows, all between the same two.
void check_span(const Plan& plan) {
  if (plan.resampled && plan.model_rate > kMostStretched * plan.rate) {
    fail(PM_BAD_ARGUMENT,
         "model_rate is %g, and rate %g: a frame of the input would be stretched to more than %g "
         "of the model's; give both in frames a second",
         plan.model_rate, plan.rate, kMostStretched);
  }
  const double span = plan.window * (plan.resampled ? plan.rate / plan.model_rate : 1.0);
  if (span <= static_cast<double>(kMostWaiting)) return;
  fail(PM_BAD_ARGUMENT,
       "a window of %d spans %.0f frames of the input, at most %lld: give a shorter one%s",
       plan.window, span, static_cast<long long>(kMostWaiting),
       plan.resampled ? ", or a model_rate nearer to the rate" : "");
}

}  // namespace

Plan make_plan(const pm_stream_options& options, const ModelFacts& model) {
  Plan plan{};
  plan.format = &find_format(options.keypoints);
  if (options.width <= 0 || options.height <= 0 || options.width > kLargestImage ||
      options.height > kLargestImage) {
    fail(PM_BAD_ARGUMENT,
         "width and height are %d x %d: give the size in pixels of the image the keypoints refer "
         "to",
         options.width, options.height);
  }
  plan.width = options.width;
  plan.height = options.height;
  plan.window = resolve_window(options.window, model);
  resolve_policy(options, plan);
  check_number(options.rate, 0.0, kHighestRate, "rate", "frames a second, or 0 if unknown");
  check_number(options.model_rate, 0.0, kHighestRate, "model_rate",
               "frames a second of the training, or 0");
  check_number(static_cast<double>(options.min_confidence), 0.0, 1e6, "min_confidence",
               "0 or a confidence of your detector's scale");
  check_number(static_cast<double>(options.smoothing), 0.0, 1e6, "smoothing",
               "One-Euro's beta, or 0");
  check_number(static_cast<double>(options.height_m), 0.0, 10.0, "height_m",
               "a person's height in metres, or 0");
  check_flag(options.flip, "flip");
  if (options.max_persons < 1 || options.max_persons > kMostPersons) {
    fail(PM_BAD_ARGUMENT, "max_persons is %d: give 1 to %d", options.max_persons, kMostPersons);
  }
  if (options.max_gap < 0 || options.max_gap > kLongestGap) {
    fail(PM_BAD_ARGUMENT, "max_gap is %d: give 1 to %d frames, or 0", options.max_gap, kLongestGap);
  }
  plan.rate = options.rate;
  plan.model_rate = options.model_rate;
  plan.resampled = options.rate > 0.0 && options.model_rate > 0.0 &&
                   std::abs(options.rate - options.model_rate) > 1e-9 * options.rate;
  plan.min_confidence = options.min_confidence;
  plan.max_persons = options.max_persons;
  plan.flip = options.flip == 1;
  plan.beta = static_cast<double>(options.smoothing);
  plan.height_m = static_cast<double>(options.height_m);
  plan.max_gap = options.max_gap > 0 ? options.max_gap : std::max(plan.window, 30);
  // Where the network's rate is higher, a frame of the input is several positions long; and times
  // are not as even as frame numbers.
  plan.reach = plan.resampled ? (plan.max_gap + 1.5) * std::max(plan.model_rate / plan.rate, 1.0)
                              : plan.max_gap;
  check_span(plan);
  plan.shortest = static_cast<int>(model.sizes.frames_min);
  return plan;
}

pm_stream_options read_options(const pm_stream_options* options) {
  return read(options, offsetof(pm_stream_options, max_gap), "pm_stream_options",
              "pm_stream_default_options");
}

pm_lifter_options read_options(const pm_lifter_options* options) {
  // The first version ended before tf32.
  return read(options, offsetof(pm_lifter_options, tf32), "pm_lifter_options",
              "pm_lifter_default_options");
}

}  // namespace posemamba::runtime
