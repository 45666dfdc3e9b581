// A libnvinfer.so that plays every call the runtime makes, and every failure of it, in the virtual
// tables of TensorRT 10 or 11 or of TensorRT-RTX. Its engine is whatever begins with "ftrt" and is
// not "ftrt-broken".
//
// STAND_IN_TRT holds words separated by ';':
//   version=10.3.0 (or 11.1.0)  fail=NAME  profiles=N  batch=N (max)  frames=N (max)  min_frames=N
//   plugins=missing  rank, joints, channels, type, tensors  of the engine
#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "backends/trt_abi.h"
#include "stand_in_network.h"
#include "stand_in_words.h"

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace {

namespace trt = posemamba::runtime::trt;

const char* find(const char* key) { return stand_in::find_word("STAND_IN_TRT", key); }

int number(const char* key, int otherwise) {
  const char* found = find(key);
  return found == nullptr ? otherwise : std::atoi(found);
}

int version_part(int part) {
  int parts[3] = {10, 3, 0};
  const char* found = find("version");
  if (found != nullptr) std::sscanf(found, "%d.%d.%d", &parts[0], &parts[1], &parts[2]);
  return parts[part];
}

// TensorRT-RTX, which counts from 1, has the tables of TensorRT 11.
const trt::Places& places() { return version_part(0) == 10 ? trt::kPlaces10 : trt::kPlaces11; }

void* logger = nullptr;
bool failing(const char* name) {
  const char* wanted = find("fail");
  const size_t length = std::strlen(name);
  const bool fails = wanted != nullptr && std::strncmp(wanted, name, length) == 0 &&
                     (wanted[length] == ';' || wanted[length] == '\0');
  if (fails && logger != nullptr) {
    char text[128];
    std::snprintf(text, sizeof text, "stand-in:\n %s says no", name);
    trt::call<void>(logger, places().logger_log, int32_t{1}, static_cast<const char*>(text));
  }
  return fails;
}

// A call to a place that was not filled ends the process, and the test with it.
constexpr int kTableSize = 96;
struct Object {
  void** table;
  Object* implementation;
};
int held = 0;  // objects made and not destroyed; see drive.cc
void destroy(Object*) { --held; }
void* made(Object* object) {
  ++held;
  return object;
}

template <int N>
struct Class {
  void* table[kTableSize] = {};
  Object implementation{table, nullptr};
  void* public_table[2] = {nullptr, reinterpret_cast<void*>(&destroy)};
  Object object{public_table, &implementation};
};

Class<0> runtime;
Class<1> engine;
Class<2> context;
void* registry_table[kTableSize] = {};
Object registry{registry_table, nullptr};
bool plugins = false;

trt::Dims shape{4, {0, 0, 17, 2, 0, 0, 0, 0}};
const float* input = nullptr;
float* output = nullptr;

void compute(void*) { stand_in::lift(input, shape.d[0], shape.d[1], output); }

void* load_library(Object*, const char*) {
  if (failing("registry_load_library") || plugins) return nullptr;
  plugins = find("plugins") == nullptr;
  return &plugins;
}
void* get_creator(Object*, const char*, const char*, const char*) {
  return plugins ? &plugins : nullptr;
}
void* deserialize(Object*, const char* data, size_t bytes) {
  const bool broken = bytes > 11 && std::memcmp(data, "ftrt-broken", 11) == 0;
  return broken || failing("runtime_deserialize") ? nullptr : made(&engine.object);
}
void allow(Object*, bool) {}
void* create_context(Object*, int32_t) {
  return failing("engine_create_context") ? nullptr : made(&context.object);
}
int32_t profile_count(Object*) { return number("profiles", 1); }
bool is_input(const char* name) { return std::strcmp(name, "keypoints_2d") == 0; }
trt::Dims engine_shape(Object*, const char* name) {
  return {number("rank", 4),
          {-1, -1, number("joints", 17), is_input(name) ? number("channels", 2) : 3, 0, 0, 0, 0}};
}
int32_t engine_type(Object*, const char*) { return number("type", 0); }
int32_t engine_mode(Object*, const char* name) { return is_input(name) ? 1 : 2; }
trt::Dims profile_shape(Object*, const char*, int32_t profile, int32_t which) {
  const int64_t frames = number("frames", 27);
  // The first of several profiles is the smallest.
  const int64_t most = profile + 1 == profile_count(nullptr) ? frames : 3;
  return which == 0 ? trt::Dims{4, {1, number("min_frames", 1), 17, 2, 0, 0, 0, 0}}
                    : trt::Dims{4, {number("batch", 4), most, 17, 2, 0, 0, 0, 0}};
}
int32_t tensor_count(Object*) { return number("tensors", 2); }
bool set_profile(Object*, int32_t, void*) { return !failing("context_set_profile"); }
bool set_input_shape(Object*, const char*, const trt::Dims* wanted) {
  shape = *wanted;
  return !failing("context_set_input_shape");
}
bool set_address(Object*, const char* name, void* address) {
  (is_input(name) ? const_cast<float*&>(input) : output) = static_cast<float*>(address);
  return !failing("context_set_address");
}
bool enqueue(Object*, void*) {
  if (failing("context_enqueue")) return false;
  void* cuda = dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD);
  if (*static_cast<int*>(dlsym(cuda, "stand_in_capturing")) != 0) {
    if (failing("captured_enqueue")) return false;
    *static_cast<void (**)(void*)>(dlsym(cuda, "stand_in_captured")) = &compute;
    return true;
  }
  compute(nullptr);
  return true;
}

template <class Function>
void fill(void** table, int place, Function* function) {
  table[place] = reinterpret_cast<void*>(function);
}

void fill_tables() {
  const trt::Places& p = places();
  fill(registry_table, p.registry_load_library, &load_library);
  fill(registry_table, p.registry_get_creator, &get_creator);
  fill(runtime.table, p.runtime_deserialize, &deserialize);
  fill(runtime.table, p.runtime_set_host_code_allowed, &allow);
  fill(engine.table, p.engine_create_context, &create_context);
  fill(engine.table, p.engine_profile_count, &profile_count);
  fill(engine.table, p.engine_shape, &engine_shape);
  fill(engine.table, p.engine_type, &engine_type);
  fill(engine.table, p.engine_mode, &engine_mode);
  fill(engine.table, p.engine_profile_shape, &profile_shape);
  fill(engine.table, p.engine_tensor_count, &tensor_count);
  fill(context.table, p.context_set_profile, &set_profile);
  fill(context.table, p.context_set_input_shape, &set_input_shape);
  fill(context.table, p.context_set_address, &set_address);
  fill(context.table, p.context_enqueue, &enqueue);
}

}  // namespace

EXPORT int32_t getInferLibMajorVersion() { return version_part(0); }
EXPORT int32_t getInferLibMinorVersion() { return version_part(1); }
EXPORT int32_t getInferLibPatchVersion() { return version_part(2); }
EXPORT int32_t getInferLibVersion() {
  return version_part(0) * 10000 + version_part(1) * 100 + version_part(2);
}
EXPORT void* getPluginRegistry() {
  fill_tables();
  return failing("getPluginRegistry") ? nullptr : &registry;
}
EXPORT void* createInferRuntime_INTERNAL(void* given, int32_t) {
  logger = given;
  fill_tables();
  // As the real one does without a driver: an offset in place of null.
  return failing("createInferRuntime") ? reinterpret_cast<void*>(0x228) : made(&runtime.object);
}
EXPORT int stand_in_held() { return held; }
