// The C interface: handles to objects, exceptions to codes, and nothing else.
#include <new>

#include "core/failure.h"
#include "core/handles.h"
#include "core/lifter.h"
#include "core/version.h"

namespace posemamba::runtime {
namespace {

using Lifters = Handles<Lifter, pm_lifter>;
using Streams = Handles<Stream, pm_stream>;

// The object of a handle; `what` and `opener` are words of the sentence where there is none.
template <class Object, class Handle>
std::shared_ptr<Object> object_of(const Handle* handle, const char* what, const char* opener) {
  using Table = Handles<Object, Handle>;
  if (auto object = Table::of_process().find(handle)) return object;
  if (const pid_t left = Table::left_process(handle); left != 0) {
    fail(PM_BAD_ARGUMENT,
         "this %s was opened in process %d, of which this process is a fork, without its threads: "
         "call %s in the process that uses it",
         what, static_cast<int>(left), opener);
  }
  fail(PM_BAD_ARGUMENT, "%s is NULL or was closed: give one of %s", what, opener);
}

std::shared_ptr<Lifter> lifter_of(const pm_lifter* handle) {
  return object_of<Lifter>(handle, "lifter", "pm_lifter_open");
}

std::shared_ptr<Stream> stream_of(const pm_stream* handle) {
  return object_of<Stream>(handle, "stream", "pm_stream_open");
}

// A function of a stream, called with its arguments.
template <class Method, class... Arguments>
pm_result on_stream(const pm_stream* handle, Method method, Arguments... arguments) noexcept {
  return guarded([&] { return (stream_of(handle).get()->*method)(arguments...); });
}

}  // namespace
}  // namespace posemamba::runtime

using namespace posemamba::runtime;

const char* pm_last_error(void) { return last_error(); }
const char* pm_version(void) { return kVersion; }
const char* pm_build_info(void) { return kBuildInfo; }

void pm_lifter_default_options(pm_lifter_options* options) {
  if (options == nullptr) return;
  *options = pm_lifter_options{};
  options->struct_size = sizeof *options;
  options->backend = "auto";
}

pm_result pm_lifter_open(const char* path, const pm_lifter_options* options, pm_lifter** out) {
  if (out != nullptr) *out = nullptr;
  return guarded([&] {
    if (out == nullptr) fail(PM_BAD_ARGUMENT, "out is NULL: give a pm_lifter*");
    if (path == nullptr || path[0] == '\0') fail(PM_BAD_ARGUMENT, "path is empty: name a model");
    pm_lifter_options defaults;
    pm_lifter_default_options(&defaults);
    const pm_lifter_options known = read_options(options == nullptr ? &defaults : options);
    *out = Lifters::of_process().insert(std::make_shared<Lifter>(open_backend(path, known)));
    return PM_SUCCESS;
  });
}

void pm_lifter_close(pm_lifter* lifter) {
  guarded([&] {
    Lifters::of_process().remove(lifter);
    return PM_SUCCESS;
  });
}

const char* pm_lifter_info(pm_lifter* lifter) {
  const char* info = nullptr;
  guarded([&] {
    info = lifter_of(lifter)->info();
    return PM_SUCCESS;
  });
  return info;
}

pm_result pm_lifter_lift(pm_lifter* lifter, const float* keypoints_2d, int64_t batch,
                         int64_t frames, float* poses_3d) {
  return guarded([&] {
    lifter_of(lifter)->lift(keypoints_2d, batch, frames, poses_3d);
    return PM_SUCCESS;
  });
}

pm_result pm_lifter_step(pm_lifter* lifter, int32_t* windows_lifted) {
  if (windows_lifted != nullptr) *windows_lifted = 0;
  return guarded([&] {
    const int windows = lifter_of(lifter)->step();
    if (windows_lifted != nullptr) *windows_lifted = windows;
    return PM_SUCCESS;
  });
}

void pm_stream_default_options(pm_stream_options* options) {
  if (options == nullptr) return;
  *options = pm_stream_options{};
  options->struct_size = sizeof *options;
  options->keypoints = "coco17";
  options->policy = "last";
  options->hop = 1;
  options->max_persons = 16;
}

pm_result pm_stream_open(pm_lifter* lifter, const pm_stream_options* options, pm_stream** out) {
  if (out != nullptr) *out = nullptr;
  return guarded([&] {
    if (out == nullptr) fail(PM_BAD_ARGUMENT, "out is NULL: give a pm_stream*");
    *out = Streams::of_process().insert(lifter_of(lifter)->open_stream(read_options(options)));
    return PM_SUCCESS;
  });
}

void pm_stream_close(pm_stream* stream) {
  guarded([&] {
    Streams::of_process().remove(stream);
    return PM_SUCCESS;
  });
}

pm_result pm_stream_push(pm_stream* stream, int64_t frame, double timestamp, int32_t person,
                         const float* values, int32_t count, int32_t columns) {
  return on_stream(stream, &Stream::push, frame, timestamp, person, values, count, columns);
}

pm_result pm_stream_poll(pm_stream* stream, pm_pose* out) {
  return on_stream(stream, &Stream::poll, out);
}

pm_result pm_stream_ready(pm_stream* stream, int32_t* poses) {
  return on_stream(stream, &Stream::ready, poses);
}

pm_result pm_stream_flush(pm_stream* stream) { return on_stream(stream, &Stream::flush); }

pm_result pm_stream_end(pm_stream* stream, int32_t person) {
  return on_stream(stream, &Stream::end, person);
}

pm_result pm_stream_reset(pm_stream* stream, int32_t person) {
  return on_stream(stream, &Stream::reset, person);
}

pm_result pm_stream_delay(const pm_stream* stream, int32_t* frames, double* seconds) {
  return on_stream(stream, &Stream::delay, frames, seconds);
}
