// A libcuda.so.1 whose GPU is the host: memory is memory, a stream does things at once, and a graph
// is the one call that was captured. A call that fails leaves nonsense where its result would be.
//
// STAND_IN_CUDA holds words separated by ';': fail=NAME, devices=N, architecture=87.
#include <cstdlib>
#include <cstring>

#include "stand_in_words.h"

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace {

const char* find(const char* key) { return stand_in::find_word("STAND_IN_CUDA", key); }

int failing(const char* name) {
  const char* wanted = find("fail");
  const size_t length = std::strlen(name);
  return wanted != nullptr && std::strncmp(wanted, name, length) == 0 &&
                 (wanted[length] == ';' || wanted[length] == '\0')
             ? 700
             : 0;
}

int number(const char* key, int otherwise) {
  const char* found = find(key);
  return found == nullptr ? otherwise : std::atoi(found);
}

constexpr unsigned long long kNonsense = 0xbad;
// Contexts that are retained or pushed, memory, streams and graphs; see drive.cc.
int held = 0;

// As many more are held, unless the call is to fail.
int taking(const char* name, int error = 700) {
  if (failing(name) != 0) return error;
  ++held;
  return 0;
}
int giving_back() {
  --held;
  return 0;
}

}  // namespace

// What a captured stream has recorded: set by the stand-in of TensorRT.
extern "C" {
__attribute__((visibility("default"))) void (*stand_in_captured)(void*) = nullptr;
__attribute__((visibility("default"))) int stand_in_capturing = 0;
__attribute__((visibility("default"))) int stand_in_graph_launches = 0;
}
EXPORT int stand_in_held() { return held; }

EXPORT int cuInit(unsigned) { return failing("cuInit"); }
EXPORT int cuDriverGetVersion(int* version) {
  *version = 13000;
  return failing("cuDriverGetVersion");
}
EXPORT int cuDeviceGetCount(int* count) {
  *count = number("devices", 1);
  return failing("cuDeviceGetCount");
}
EXPORT int cuDeviceGet(int* device, int ordinal) {
  *device = ordinal;
  return failing("cuDeviceGet");
}
EXPORT int cuDeviceGetName(char* name, int length, int) {
  std::strncpy(name, "Stand-in GPU", static_cast<size_t>(length));
  return failing("cuDeviceGetName");
}
EXPORT int cuDeviceGetAttribute(int* value, int attribute, int) {
  const int architecture = number("architecture", 87);
  *value = attribute == 75 ? architecture / 10 : architecture % 10;
  return failing("cuDeviceGetAttribute");
}
EXPORT int cuDevicePrimaryCtxRetain(void** context, int) {
  *context = &held;
  return taking("cuDevicePrimaryCtxRetain");
}
EXPORT int cuDevicePrimaryCtxRelease_v2(int) { return giving_back(); }
EXPORT int cuCtxPushCurrent_v2(void*) { return taking("cuCtxPushCurrent_v2"); }
EXPORT int cuCtxPopCurrent_v2(void** context) {
  *context = nullptr;
  return giving_back();
}
EXPORT int cuMemAlloc_v2(unsigned long long* address, size_t bytes) {
  const int error = taking("cuMemAlloc_v2", 2);
  *address = error != 0 ? kNonsense : reinterpret_cast<unsigned long long>(std::malloc(bytes));
  return error;
}
EXPORT int cuMemFree_v2(unsigned long long address) {
  std::free(reinterpret_cast<void*>(address));
  return giving_back();
}
EXPORT int cuMemHostAlloc(void** pointer, size_t bytes, unsigned) {
  const int error = taking("cuMemHostAlloc", 2);
  *pointer = error != 0 ? reinterpret_cast<void*>(kNonsense) : std::malloc(bytes);
  return error;
}
EXPORT int cuMemFreeHost(void* pointer) {
  std::free(pointer);
  return giving_back();
}
EXPORT int cuMemcpyHtoDAsync_v2(unsigned long long to, const void* from, size_t bytes, void*) {
  std::memcpy(reinterpret_cast<void*>(to), from, bytes);
  return failing("cuMemcpyHtoDAsync_v2");
}
EXPORT int cuMemcpyDtoHAsync_v2(void* to, unsigned long long from, size_t bytes, void*) {
  std::memcpy(to, reinterpret_cast<const void*>(from), bytes);
  return failing("cuMemcpyDtoHAsync_v2");
}
EXPORT int cuStreamCreate(void** stream, unsigned) {
  *stream = &held;
  return taking("cuStreamCreate");
}
EXPORT int cuStreamDestroy_v2(void*) { return giving_back(); }
EXPORT int cuStreamSynchronize(void*) { return failing("cuStreamSynchronize"); }
EXPORT int cuStreamBeginCapture_v2(void*, int) {
  stand_in_capturing = 1;
  return failing("cuStreamBeginCapture_v2");
}
EXPORT int cuStreamEndCapture(void*, void** graph) {
  stand_in_capturing = 0;
  *graph = &stand_in_capturing;
  return taking("cuStreamEndCapture");
}
EXPORT int cuGraphInstantiateWithFlags(void** exec, void*, unsigned long long) {
  *exec = &stand_in_graph_launches;
  return taking("cuGraphInstantiateWithFlags");
}
EXPORT int cuGraphLaunch(void*, void*) {
  if (failing("cuGraphLaunch") != 0) return 700;
  ++stand_in_graph_launches;
  stand_in_captured(nullptr);
  return 0;
}
EXPORT int cuGraphExecDestroy(void*) { return giving_back(); }
EXPORT int cuGraphDestroy(void*) { return giving_back(); }
