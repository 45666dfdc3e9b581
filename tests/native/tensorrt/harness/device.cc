#include "device.h"

#include <cuda_fp16.h>
#include <dlfcn.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <type_traits>

#include "scan_oracle.h"

namespace harness {
namespace {

// A CUDA call of the harness itself that fails leaves nothing to test.
void must(cudaError_t error) {
  if (error == cudaSuccess) return;
  std::printf("CUDA: %s\n", cudaGetErrorString(error));
  std::exit(1);
}

std::vector<unsigned char> encode(const std::vector<float>& values, bool half) {
  std::vector<unsigned char> bytes(values.size() * (half ? 2 : 4));
  for (size_t i = 0; i < values.size(); ++i) {
    if (half) {
      const __half h = __float2half(values[i]);
      std::memcpy(bytes.data() + 2 * i, &h, 2);
    } else {
      std::memcpy(bytes.data() + 4 * i, &values[i], 4);
    }
  }
  return bytes;
}

void round_to_half(std::vector<float>* values) {
  for (float& v : *values) v = __half2float(__float2half(v));
}

// `data` has what the node's inputs hold, and may have more.
void upload(Problem* problem, const std::vector<const std::vector<float>*>& data) {
  for (size_t i = 0; i < problem->node.inputs.size(); ++i) {
    const bool half = problem->node.inputs[i].activation && problem->node.type == DataType::kHALF;
    const std::vector<unsigned char> bytes = encode(*data[i], half);
    problem->inputs.push_back(std::make_unique<Buffer>(bytes.size()));
    must(cudaMemcpy(problem->inputs.back()->data(), bytes.data(), bytes.size(),
                    cudaMemcpyHostToDevice));
  }
  must(cudaStreamSynchronize(nullptr));  // a copy from pageable memory may return before it landed
}

Problem make_cross(const Sizes& s, DataType type, uint64_t seed) {
  oracle::Cross cross(s.batch, s.frames, static_cast<int>(s.joints), static_cast<int>(s.d_inner),
                      static_cast<int>(s.d_state), static_cast<int>(s.dt_rank), seed);
  Problem problem;
  problem.node = cross_node(s);
  problem.node.type = type;
  const pm_cross_scan_params& p = cross.p;
  problem.node.attribute("order").assign(p.order, p.order + 4);
  problem.node.attribute("reverse").assign(p.reverse, p.reverse + 4);
  problem.node.attribute("limb_mask").assign(p.limb_mask, p.limb_mask + 4);
  problem.node.attribute("limb_index").assign(p.limb_index, p.limb_index + s.joints);
  if (type == DataType::kHALF) round_to_half(&cross.x), round_to_half(&cross.x_dbl);
  problem.answer = cross.answer();
  upload(&problem, {&cross.x, &cross.x_dbl, &cross.weight, &cross.bias, &cross.A, &cross.D});
  return problem;
}

Problem make_plain(const Sizes& s, DataType type, uint64_t seed) {
  oracle::Plain plain(static_cast<int32_t>(s.d_inner), static_cast<int32_t>(s.d_state), s.length(),
                      seed);
  Problem problem;
  problem.node = plain_node(s);
  problem.node.type = type;
  if (type == DataType::kHALF) {
    for (auto* values : {&plain.u, &plain.delta, &plain.B, &plain.C, &plain.z})
      round_to_half(values);
  }
  if (!s.gated) plain.p.z = nullptr;
  problem.answer = plain.answer();
  upload(&problem,
         {&plain.u, &plain.delta, &plain.A, &plain.B, &plain.C, &plain.D, &plain.bias, &plain.z});
  return problem;
}

pm_cross_scan_params cross_params(const Node& node) {
  Node n = node;
  pm_cross_scan_params p{};
  const std::vector<int64_t>& x = n.input("x").dims;
  p.batch = x[0], p.frames = x[1], p.joints = static_cast<int32_t>(x[2]);
  p.d_inner = static_cast<int32_t>(x[3]);
  p.x_stride = p.y_stride = x[3], p.x_dbl_stride = n.input("x_dbl").dims[3];
  p.d_state = n.attribute("d_state")[0], p.dt_rank = n.attribute("dt_rank")[0];
  p.directions = static_cast<int32_t>(n.attribute("order").size());
  p.dtype = n.type == DataType::kHALF ? PM_FLOAT16 : PM_FLOAT32;
  const auto copy = [&n](const char* name, int32_t* to) {
    std::copy(n.attribute(name).begin(), n.attribute(name).end(), to);
  };
  copy("order", p.order), copy("reverse", p.reverse);
  copy("limb_mask", p.limb_mask), copy("limb_index", p.limb_index);
  copy("half_sums", &p.half_sums);
  return p;
}

pm_scan_params plain_params(const Node& node) {
  Node n = node;
  pm_scan_params p{};
  const std::vector<int64_t>& u = n.input("u").dims;
  p.batch = u[0], p.length = u[2], p.groups = 2, p.channels = static_cast<int32_t>(u[1] / 2);
  p.d_state = static_cast<int32_t>(n.input("A").dims[1]);
  p.delta_softplus = n.attribute("delta_softplus")[0];
  p.dtype = n.type == DataType::kHALF ? PM_FLOAT16 : PM_FLOAT32;
  std::copy(n.attribute("reverse").begin(), n.attribute("reverse").end(), p.reverse);
  return p;
}

// NaN in either type. The cases enqueue on a non-blocking stream, which does not wait for the
// default one: a fill or an upload still on its way there would land after the kernel's output.
void fill_with_nan(void* data, size_t bytes) {
  must(cudaMemset(data, 0xff, bytes));
  must(cudaStreamSynchronize(nullptr));
}

}  // namespace

Buffer::Buffer(size_t bytes) : bytes_(bytes) {
  must(cudaMalloc(reinterpret_cast<void**>(&base_), bytes + 2 * kGuard));
  fill_with_nan(base_, bytes + 2 * kGuard);
}

Buffer::~Buffer() { cudaFree(base_); }

void Buffer::poison() { fill_with_nan(data(), bytes_); }

std::vector<unsigned char> Buffer::bytes() const {
  std::vector<unsigned char> bytes(bytes_);
  must(cudaMemcpy(bytes.data(), data(), bytes_, cudaMemcpyDeviceToHost));
  return bytes;
}

bool Buffer::guards_intact() const {
  std::vector<unsigned char> guards(2 * kGuard);
  must(cudaMemcpy(guards.data(), base_, kGuard, cudaMemcpyDeviceToHost));
  must(cudaMemcpy(guards.data() + kGuard, base_ + kGuard + bytes_, kGuard, cudaMemcpyDeviceToHost));
  return std::all_of(guards.begin(), guards.end(), [](unsigned char b) { return b == 0xff; });
}

std::vector<const void*> Problem::pointers() const {
  std::vector<const void*> all;
  for (const auto& input : inputs) all.push_back(input->data());
  return all;
}

Problem make_problem(const std::string& op, const Sizes& sizes, DataType type, uint64_t seed) {
  return op == "CrossSelectiveScan" ? make_cross(sizes, type, seed) : make_plain(sizes, type, seed);
}

double error_of(const Problem& problem, const std::vector<unsigned char>& output) {
  std::vector<float> values(problem.answer.size());
  for (size_t i = 0; i < values.size(); ++i) {
    if (problem.node.type == DataType::kHALF) {
      __half h;
      std::memcpy(&h, output.data() + 2 * i, 2);
      values[i] = __half2float(h);
    } else {
      std::memcpy(&values[i], output.data() + 4 * i, 4);
    }
  }
  return oracle::relative_error(values, problem.answer);
}

Launcher::Launcher() : handle_(dlopen(cuda_path.c_str(), RTLD_NOW | RTLD_LOCAL)) {
  if (handle_ == nullptr) {
    std::printf("%s\n", dlerror());
    return;
  }
  const auto find = [this](const char* name, auto* function) {
    *function = reinterpret_cast<std::remove_pointer_t<decltype(function)>>(dlsym(handle_, name));
  };
  find("pm_cuda_cross_scan", &cross_);
  find("pm_cuda_scan", &scan_);
  find("pm_cuda_cross_scan_workspace", &cross_workspace_);
  find("pm_cuda_scan_workspace", &scan_workspace_);
}

size_t Launcher::workspace(const Node& node, const pm_cuda_tuning& tuning) const {
  if (node.op == "CrossSelectiveScan") {
    const pm_cross_scan_params p = cross_params(node);
    return cross_workspace_(&p, &tuning);
  }
  const pm_scan_params p = plain_params(node);
  return scan_workspace_(&p, &tuning);
}

std::vector<unsigned char> Launcher::run(const Problem& problem,
                                         const pm_cuda_tuning& tuning) const {
  const Buffer output(problem.output_bytes());
  const Buffer room(workspace(problem.node, tuning));
  const std::vector<const void*> in = problem.pointers();
  const auto floats = [&in](size_t i) { return static_cast<const float*>(in[i]); };
  cudaError_t error;
  if (problem.node.op == "CrossSelectiveScan") {
    pm_cross_scan_params p = cross_params(problem.node);
    p.x = in[0], p.x_dbl = in[1], p.dt_weight = floats(2), p.dt_bias = floats(3);
    p.A = floats(4), p.D = floats(5), p.y = output.data();
    error = cross_(&p, &tuning, room.data(), nullptr);
  } else {
    pm_scan_params p = plain_params(problem.node);
    p.u = in[0], p.delta = in[1], p.A = floats(2), p.B = in[3], p.C = in[4], p.D = floats(5);
    p.delta_bias = floats(6), p.z = in.size() > 7 ? in[7] : nullptr, p.y = output.data();
    error = scan_(&p, &tuning, room.data(), nullptr);
  }
  must(cudaDeviceSynchronize());
  return error == cudaSuccess ? output.bytes() : std::vector<unsigned char>();
}

pm_cuda_tuning tuning_of_tactic(int32_t tactic) {
  if (tactic <= 1) return {};
  return {tactic / 16, 0, tactic % 16};
}

int32_t enqueue(nvinfer1::IPluginV3& plugin, const Problem& problem, const Buffer& output,
                const Buffer& workspace, cudaStream_t stream) {
  const auto tensors = describe(problem.node);
  const std::vector<const void*> inputs = problem.pointers();
  void* outputs[] = {output.data()};
  return Runtime(plugin).enqueue(tensors.data(), tensors.data() + problem.node.count(),
                                 inputs.data(), outputs, workspace.data(), stream);
}

}  // namespace harness
