// C++ over lifter.h, header only: objects that close themselves, and errors that cannot be missed.
//
//   posemamba::Lifter lifter("S.onnx");
//   posemamba::StreamOptions options;
//   options.keypoints = "coco17", options.width = 1920, options.height = 1080;
//   posemamba::Stream stream = lifter.stream(options);
//   stream.push(frame, seconds, person, values);   // 17 times x, y, confidence
//   lifter.step();
//   while (auto pose = stream.poll()) draw(*pose);
//
// Calls throw posemamba::Error, a code and a sentence. With POSEMAMBA_NO_EXCEPTIONS defined nothing
// throws: the same calls return posemamba::Result, or Expected<T> that holds a value or the Result,
// and objects come from Lifter::open() and lifter.stream(). The loop above stays as it is: it ends
// where poll() has no pose, and error() then says why.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "lifter.h"

#if !defined(POSEMAMBA_NO_EXCEPTIONS)
#include <stdexcept>
#endif

namespace posemamba {

// A program may mix files of both kinds: what differs has names of its own for the linker, which
// would else take one body for both.
#if defined(POSEMAMBA_NO_EXCEPTIONS)
inline namespace no_exceptions {
#else
inline namespace exceptions {
#endif

using Pose = pm_pose;

// Options are plain values: set what matters. Texts are kept by whoever sets them.
struct LifterOptions : pm_lifter_options {
  LifterOptions() : pm_lifter_options{} { pm_lifter_default_options(this); }
};
struct StreamOptions : pm_stream_options {
  StreamOptions() : pm_stream_options{} { pm_stream_default_options(this); }
};

struct Delay {
  std::int32_t frames;  // of the input
  double seconds;       // NaN where no rate is known
};

inline const char* version() noexcept { return pm_version(); }
inline const char* build_info() noexcept { return pm_build_info(); }

#if !defined(POSEMAMBA_NO_EXCEPTIONS)

class Error : public std::runtime_error {
 public:
  Error(pm_result result, const char* sentence) : std::runtime_error(sentence), code_(result) {}
  pm_result code() const noexcept { return code_; }

 private:
  pm_result code_;
};

using Result = void;
template <class T>
using Expected = T;
using MaybePose = std::optional<Pose>;

namespace detail {
inline void check(pm_result code) {
  if (code != PM_SUCCESS) throw Error(code, pm_last_error());
}
template <class T>
T result_of(pm_result code, T&& value) {
  check(code);
  return std::forward<T>(value);
}
}  // namespace detail

#else

class [[nodiscard]] Result {
 public:
  Result() = default;
  explicit Result(pm_result result)
      : code_(result), sentence_(result == PM_SUCCESS ? "" : pm_last_error()) {}
  explicit operator bool() const noexcept { return code_ == PM_SUCCESS; }
  pm_result code() const noexcept { return code_; }
  const char* what() const noexcept { return sentence_.c_str(); }

 private:
  pm_result code_ = PM_SUCCESS;
  std::string sentence_;
};

// A value, or why there is none.
template <class T>
class [[nodiscard]] Expected {
 public:
  Expected(pm_result result, T&& value) : result_(result) {
    if (result == PM_SUCCESS) value_.emplace(std::move(value));
  }
  explicit operator bool() const noexcept { return value_.has_value(); }
  T& operator*() { return *value_; }
  const T& operator*() const { return *value_; }
  T* operator->() { return &*value_; }
  const T* operator->() const { return &*value_; }
  const Result& error() const noexcept { return result_; }

 private:
  Result result_;
  std::optional<T> value_;
};

using MaybePose = Expected<Pose>;

namespace detail {
inline Result check(pm_result code) { return Result(code); }
template <class T>
Expected<T> result_of(pm_result code, T&& value) {
  return Expected<T>(code, std::forward<T>(value));
}
}  // namespace detail

#endif

namespace detail {
// The last number in a format's name: "coco17", "h36m17", "body25b".
inline std::int32_t points_of(const char* format) noexcept {
  std::int32_t points = 0;
  bool inside = false;
  for (const char* c = format; c != nullptr && *c != '\0'; ++c) {
    const bool digit = *c >= '0' && *c <= '9';
    if (digit) points = (inside ? 10 * points : 0) + (*c - '0');
    inside = digit;
  }
  return points;
}

// A matrix of Eigen's whose numbers lie column by column, its default.
template <class Values, class = void>
inline constexpr bool by_columns = false;
template <class Values>
inline constexpr bool by_columns<Values, std::void_t<decltype(Values::IsRowMajor)>> =
    !Values::IsRowMajor && !Values::IsVectorAtCompileTime;
}  // namespace detail

// One camera or recording. Move-only; closes itself.
class Stream {
 public:
  Stream(Stream&& other) noexcept
      : handle_(std::exchange(other.handle_, nullptr)), points_(other.points_) {}
  Stream& operator=(Stream&& other) noexcept {
    if (this != &other) {
      pm_stream_close(handle_);
      handle_ = std::exchange(other.handle_, nullptr);
      points_ = other.points_;
    }
    return *this;
  }
  ~Stream() { pm_stream_close(handle_); }

  // values: [count][columns] as of pm_stream_push.
  Result push(std::int64_t frame, double timestamp, std::int32_t person, const float* values,
              std::int32_t count, std::int32_t columns) {
    return detail::check(pm_stream_push(handle_, frame, timestamp, person, values, count, columns));
  }

  // Rows: float values[17][3], std::array<std::array<float, 3>, 17>, or a vector of arrays; or
  // numbers, point by point: std::array<float, 51>, or a vector. All of it lies in one piece.
  template <class Values>
  Result push(std::int64_t frame, double timestamp, std::int32_t person, const Values& values) {
    using Row = std::remove_cv_t<std::remove_pointer_t<decltype(std::data(values))>>;
    static_assert(!detail::by_columns<Values>, "push takes a matrix in row-major order");
    const auto size = static_cast<std::int32_t>(std::size(values));
    if constexpr (std::is_arithmetic_v<Row>) {
      static_assert(std::is_same_v<Row, float>, "push takes float");
      const bool whole = points_ > 0 && size % points_ == 0;  // else refused, with a sentence
      return push(frame, timestamp, person, std::data(values), whole ? points_ : size,
                  whole ? size / points_ : 1);
    } else {
      static_assert(std::is_aggregate_v<Row>,
                    "a row is an array: float[3] or std::array<float, 3>");
      static_assert(std::is_same_v<std::decay_t<decltype(values[0][0])>, float>,
                    "push takes float");
      const auto* first = reinterpret_cast<const float*>(std::data(values));
      return push(frame, timestamp, person, first, size,
                  static_cast<std::int32_t>(sizeof(Row) / sizeof(float)));
    }
  }

  // The next pose, or nothing if none is due: reason() then says what is waited for.
  MaybePose poll() {
    Pose pose;
    pose.struct_size = sizeof pose;
    const pm_result code = pm_stream_poll(handle_, &pose);
#if !defined(POSEMAMBA_NO_EXCEPTIONS)
    if (code == PM_NOT_READY) return std::nullopt;
#endif
    return detail::result_of(code, std::move(pose));
  }
  static const char* reason() noexcept { return pm_last_error(); }

  // Poses that poll would give now.
  Expected<std::int32_t> ready() const {
    std::int32_t poses = 0;
    const pm_result code = pm_stream_ready(handle_, &poses);
    return detail::result_of(code, std::move(poses));
  }

  Result flush() { return detail::check(pm_stream_flush(handle_)); }
  Result end(std::int32_t person) { return detail::check(pm_stream_end(handle_, person)); }
  Result reset(std::int32_t person = -1) { return detail::check(pm_stream_reset(handle_, person)); }

  Expected<Delay> delay() const {
    Delay delay{0, 0.0};
    const pm_result code = pm_stream_delay(handle_, &delay.frames, &delay.seconds);
    return detail::result_of(code, std::move(delay));
  }

  pm_stream* get() const noexcept { return handle_; }

 private:
  friend class Lifter;
  Stream(pm_stream* handle, std::int32_t points) noexcept : handle_(handle), points_(points) {}
  pm_stream* handle_;
  std::int32_t points_;  // of a person, as the format's name says
};

// One opened model. Move-only; closes itself, after its streams. Every call is thread-safe.
class Lifter {
 public:
#if !defined(POSEMAMBA_NO_EXCEPTIONS)
  explicit Lifter(const char* path, const LifterOptions& options = LifterOptions())
      : Lifter(open(path, options)) {}
  explicit Lifter(const std::string& path, const LifterOptions& options = LifterOptions())
      : Lifter(open(path.c_str(), options)) {}
#endif
  Lifter(Lifter&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Lifter& operator=(Lifter&& other) noexcept {
    if (this != &other) {
      pm_lifter_close(handle_);
      handle_ = std::exchange(other.handle_, nullptr);
    }
    return *this;
  }
  ~Lifter() { pm_lifter_close(handle_); }

  static Expected<Lifter> open(const char* path, const LifterOptions& options = LifterOptions()) {
    pm_lifter* handle = nullptr;
    const pm_result code = pm_lifter_open(path, &options, &handle);
    return detail::result_of(code, Lifter(handle));
  }

  Expected<Stream> stream(const StreamOptions& options) {
    pm_stream* handle = nullptr;
    const pm_result code = pm_stream_open(handle_, &options, &handle);
    return detail::result_of(code, Stream(handle, detail::points_of(options.keypoints)));
  }

  // [batch][frames][17][2] to [batch][frames][17][3].
  Result lift(const float* keypoints_2d, std::int64_t batch, std::int64_t frames, float* poses_3d) {
    return detail::check(pm_lifter_lift(handle_, keypoints_2d, batch, frames, poses_3d));
  }

  // Lifts what is due in all streams; the number of windows.
  Expected<std::int32_t> step() {
    std::int32_t windows = 0;
    const pm_result code = pm_lifter_step(handle_, &windows);
    return detail::result_of(code, std::move(windows));
  }

  // JSON.
  std::string info() const {
    const char* text = pm_lifter_info(handle_);
    return text == nullptr ? "" : text;
  }

  pm_lifter* get() const noexcept { return handle_; }

 private:
  explicit Lifter(pm_lifter* handle) noexcept : handle_(handle) {}
  pm_lifter* handle_;
};

}  // inline namespace
}  // namespace posemamba
