// The part of TensorRT's binary interface the runtime calls, by its place in the virtual tables.
//
// TensorRT's interface is C++: an object {virtual table, pointer to an implementation} whose inline
// functions call the implementation's virtual ones. TensorRT 11 took deprecated functions out of
// those tables, so a library compiled against the headers of 10.x calls the wrong functions in
// 11.x. One build serves both because the places are listed here, one column a release, and the
// column is chosen by the library found. deploy/cpp/tests/trt_places.cc verifies each column
// against the headers of its release (10.3, 10.14 and 11.1), and tests call the real lean runtimes
// of 10.16, 11.0 and 11.4.
#pragma once

#include <cstddef>
#include <cstdint>

namespace posemamba::runtime::trt {

// Layouts that are the same in every release from 10.3.
struct Dims {
  int32_t rank;
  int64_t d[8];
};
static_assert(sizeof(Dims) == 72 && offsetof(Dims, d) == 8, "nvinfer1::Dims");

enum Mode : int32_t { kInput = 1, kOutput = 2 };
enum Type : int32_t { kFloat = 0 };
enum Selector : int32_t { kMin = 0, kMax = 2 };

// Function, place in 10.x, place in 11.x.
#define POSEMAMBA_TRT_PLACES(X)            \
  X(registry_load_library, 10, 6)          \
  X(registry_get_creator, 14, 10)          \
  X(runtime_deserialize, 3, 3)             \
  X(runtime_set_host_code_allowed, 21, 20) \
  X(engine_create_context, 5, 5)           \
  X(engine_profile_count, 10, 8)           \
  X(engine_shape, 19, 15)                  \
  X(engine_type, 20, 16)                   \
  X(engine_mode, 23, 19)                   \
  X(engine_profile_shape, 29, 25)          \
  X(engine_tensor_count, 30, 26)           \
  X(engine_tensor_name, 31, 27)            \
  X(context_set_profile, 17, 16)           \
  X(context_set_input_shape, 21, 20)       \
  X(context_set_address, 24, 23)           \
  X(context_enqueue, 37, 36)

struct Places {
#define POSEMAMBA_TRT_FIELD(name, ten, eleven) int name;
  POSEMAMBA_TRT_PLACES(POSEMAMBA_TRT_FIELD)
#undef POSEMAMBA_TRT_FIELD
  int logger_log;  // in ILogger, which began to derive from IVersionedInterface in 11.0
};

#define POSEMAMBA_TRT_TEN(name, ten, eleven) ten,
#define POSEMAMBA_TRT_ELEVEN(name, ten, eleven) eleven,
constexpr Places kPlaces10 = {POSEMAMBA_TRT_PLACES(POSEMAMBA_TRT_TEN) 0};
constexpr Places kPlaces11 = {POSEMAMBA_TRT_PLACES(POSEMAMBA_TRT_ELEVEN) 4};
#undef POSEMAMBA_TRT_TEN
#undef POSEMAMBA_TRT_ELEVEN

// A virtual call by place, as the Itanium C++ ABI of every Linux compiler has it; a Result that is
// a struct goes the same way as in a member function.
template <class Result, class... Arguments>
Result call(const void* object, int place, Arguments... arguments) {
  using Function = Result (*)(const void*, Arguments...);
  void* const* table = *static_cast<void* const* const*>(object);
  return reinterpret_cast<Function>(table[place])(object, arguments...);
}

// What an object of the public classes does its work with, the second word of it.
inline const void* implementation(const void* object) {
  return static_cast<void* const*>(object)[1];
}

// `delete object`: the second destructor of the table.
inline void destroy(const void* object) { call<void>(object, 1); }

}  // namespace posemamba::runtime::trt
