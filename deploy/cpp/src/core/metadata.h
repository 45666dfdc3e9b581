// What a model says about itself, as pmexport writes it: ONNX metadata, or an engine's sidecar.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "backends/backend.h"
#include "core/json.h"

namespace posemamba::runtime {

// Value of a metadata entry of the model, "" if there is none.
using MetadataLookup = std::function<std::string(const char* key)>;

// Fills facts and refuses what this library would get wrong: another normalisation, joint order or
// schema. Returns the number of frames the model was trained on, or 0 if it does not say.
int64_t read_metadata(const std::string& path, const MetadataLookup& lookup, ModelFacts& facts);

// What a sidecar adds for an engine.
struct EngineFacts {
  std::string sha256, flavour, tensorrt, plugin_version;
  std::vector<std::string> targets;
  bool version_compatible = false, hardware_compatible = false;
  int64_t max_frames = 0;
};

// Throws Failure(PM_BAD_MODEL); label is the sidecar's path.
EngineFacts read_sidecar(const std::string& label, std::string_view source, ModelFacts& facts);

}  // namespace posemamba::runtime
