#include "backends/cuda.h"

#include "backends/backend.h"
#include "core/failure.h"

namespace posemamba::runtime {
namespace {

constexpr int kMajorAttribute = 75;  // CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR
constexpr int kMinorAttribute = 76;
constexpr unsigned kNonBlocking = 1;  // CU_STREAM_NON_BLOCKING

constexpr const char* kNoDriver =
    "install the NVIDIA driver, give the container the GPU, or use backend onnxruntime-cpu";

size_t bytes_of(int64_t frames, int64_t floats) {
  return static_cast<size_t>(frames * floats) * sizeof(float);
}

}  // namespace

Cuda::Cuda(int ordinal)
    : library_(Library::search(nullptr, "libcuda.so.1", {"libcuda.so.1"},
                               "the CUDA driver (libcuda.so.1)", kNoDriver)) {
#define POSEMAMBA_CUDA_LOAD(name, parameters) name = library_.symbol<int(*) parameters>(#name);
  POSEMAMBA_CUDA_FUNCTIONS(POSEMAMBA_CUDA_LOAD)
#undef POSEMAMBA_CUDA_LOAD
  const int started = cuInit(0);
  int count = 0;
  if (started != 0 || cuDeviceGetCount(&count) != 0 || count == 0) {
    fail(PM_MISSING, "'%s' finds no GPU (CUDA error %d): %s", library_.path().c_str(), started,
         kNoDriver);
  }
  if (ordinal < 0 || ordinal >= count) {
    fail(PM_BAD_ARGUMENT, "device is %d, there are %d GPUs: give 0 to %d", ordinal, count,
         count - 1);
  }
  check(cuDriverGetVersion(&driver_version_), "cuDriverGetVersion");
  check(cuDeviceGet(&device_, ordinal), "cuDeviceGet");
  char name[128] = "";
  check(cuDeviceGetName(name, sizeof name, device_), "cuDeviceGetName");
  name_ = name;
  int major = 0;
  int minor = 0;
  check(cuDeviceGetAttribute(&major, kMajorAttribute, device_), "cuDeviceGetAttribute");
  check(cuDeviceGetAttribute(&minor, kMinorAttribute, device_), "cuDeviceGetAttribute");
  architecture_ = 10 * major + minor;
  check(cuDevicePrimaryCtxRetain(&context_, device_), "cuDevicePrimaryCtxRetain");
}

Cuda::~Cuda() {
  if (context_ != nullptr) cuDevicePrimaryCtxRelease_v2(device_);
}

void Cuda::check(int result, const char* call) const {
  if (result == 0) return;
  fail(PM_BACKEND_FAILED,
       "%s on GPU '%s' gave CUDA error %d: free memory of the GPU, or restart it", call,
       name_.c_str(), result);
}

Cuda::Scope::Scope(const Cuda& device) : cuda_(device) {
  cuda_.check(cuda_.cuCtxPushCurrent_v2(cuda_.context_), "cuCtxPushCurrent");
}

Cuda::Scope::~Scope() {
  cuda::Context* popped = nullptr;
  cuda_.cuCtxPopCurrent_v2(&popped);
}

CudaBuffers::CudaBuffers(std::shared_ptr<Cuda> cuda) : cuda_(std::move(cuda)) {
  const Cuda::Scope scope(*cuda_);
  cuda_->check(cuda_->cuStreamCreate(&stream_, kNonBlocking), "cuStreamCreate");
}

CudaBuffers::~CudaBuffers() {
  try {
    const Cuda::Scope scope(*cuda_);
    release();
    cuda_->cuStreamDestroy_v2(stream_);
  } catch (const Failure&) {
    // The driver is gone, and the memory with it.
  }
}

bool CudaBuffers::reserve(int64_t frames) {
  if (frames <= frames_) return false;
  const Cuda::Scope scope(*cuda_);
  wait();
  release();
  // A call that fails may leave anything where its result would be.
  const auto host = [&](float** pointer, int64_t floats) {
    void* memory = nullptr;
    cuda_->check(cuda_->cuMemHostAlloc(&memory, bytes_of(frames, floats), 0), "cuMemHostAlloc");
    *pointer = static_cast<float*>(memory);
  };
  const auto device = [&](cuda::Address* address, int64_t floats) {
    cuda::Address memory = 0;
    cuda_->check(cuda_->cuMemAlloc_v2(&memory, bytes_of(frames, floats)), "cuMemAlloc");
    *address = memory;
  };
  host(&host_input_, kInputFloats);
  host(&host_output_, kOutputFloats);
  device(&input_, kInputFloats);
  device(&output_, kOutputFloats);
  frames_ = frames;
  return true;
}

void CudaBuffers::release() {
  if (host_input_ != nullptr) cuda_->cuMemFreeHost(host_input_);
  if (host_output_ != nullptr) cuda_->cuMemFreeHost(host_output_);
  if (input_ != 0) cuda_->cuMemFree_v2(input_);
  if (output_ != 0) cuda_->cuMemFree_v2(output_);
  host_input_ = host_output_ = nullptr;
  input_ = output_ = 0;
  frames_ = 0;
}

void CudaBuffers::copy_in(int64_t frames) {
  cuda_->check(
      cuda_->cuMemcpyHtoDAsync_v2(input_, host_input_, bytes_of(frames, kInputFloats), stream_),
      "copying to the GPU");
}

void CudaBuffers::copy_out(int64_t frames) {
  cuda_->check(
      cuda_->cuMemcpyDtoHAsync_v2(host_output_, output_, bytes_of(frames, kOutputFloats), stream_),
      "copying from the GPU");
}

void CudaBuffers::wait() const {
  cuda_->check(cuda_->cuStreamSynchronize(stream_), "waiting for the GPU");
}

}  // namespace posemamba::runtime
