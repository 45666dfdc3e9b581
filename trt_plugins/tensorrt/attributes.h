// A node's attributes: read from plugin fields, written back to them, and as text.
#pragma once

#include <array>
#include <cstdint>

#include "api.h"
#include "posemamba/scan.h"

namespace posemamba::trt {

// Why something was refused, as the end of a sentence.
struct Reason {
  char text[256] = "";
  [[gnu::format(printf, 2, 3)]] bool refuse(const char* format, ...);  // always false
};

// One attribute of an operator: integers, or one real number. A count of 0 means that the node did
// not give it, which a real number must not be.
struct Attribute {
  const char* name;
  int32_t low;  // least and greatest value
  int32_t high;
  int32_t capacity;  // most values; 1 for a scalar
  bool is_real = false;
  int32_t count = 0;
  int32_t values[PM_MAX_JOINTS] = {};
  float real = 0.0f;

  int32_t value_or(int32_t otherwise) const { return count == 0 ? otherwise : values[0]; }
  nvinfer1::PluginFieldType field_type() const {
    return is_real ? nvinfer1::PluginFieldType::kFLOAT32 : nvinfer1::PluginFieldType::kINT32;
  }
};

// What a norm adds to a variance: below 1.
constexpr Attribute epsilon(const char* name) { return {name, 0, 1, 1, true}; }

bool read_attributes(const nvinfer1::PluginFieldCollection* fields, Attribute* attributes,
                     int32_t count, Reason* reason);

// One field an attribute that has a value, pointing into `attributes`. Returns how many.
int32_t write_fields(const Attribute* attributes, int32_t count, nvinfer1::PluginField* fields);

// "order=0,1,0,1 reverse=0,0,1,1": equal texts mean equal attributes. False if it does not fit.
bool describe(const Attribute* attributes, int32_t count, char* text, size_t size);

}  // namespace posemamba::trt
