#include "attributes.h"

#include <cstdarg>
#include <cstdio>
#include <cstring>

namespace posemamba::trt {
namespace {

using nvinfer1::PluginField;
using nvinfer1::PluginFieldType;

// Attributes every plugin node carries, which TensorRT's parser uses to find the creator.
bool is_parsers_own(const char* name) {
  return std::strcmp(name, "plugin_version") == 0 || std::strcmp(name, "plugin_namespace") == 0;
}

Attribute* find(Attribute* attributes, int32_t count, const char* name) {
  for (int32_t i = 0; i < count; ++i) {
    if (std::strcmp(attributes[i].name, name) == 0) return &attributes[i];
  }
  return nullptr;
}

bool read_real(const PluginField& field, Attribute* attribute, Reason* reason) {
  if (field.type != PluginFieldType::kFLOAT32 || field.length != 1 || field.data == nullptr) {
    return reason->refuse("attribute '%s' must hold one float32", attribute->name);
  }
  const float value = *static_cast<const float*>(field.data);
  if (!(value >= static_cast<float>(attribute->low) &&
        value < static_cast<float>(attribute->high))) {  // NaN too
    return reason->refuse("attribute '%s' holds %g, it takes %d to below %d", attribute->name,
                          static_cast<double>(value), attribute->low, attribute->high);
  }
  attribute->real = value;
  attribute->count = 1;
  return true;
}

bool read(const PluginField& field, Attribute* attribute, Reason* reason) {
  if (attribute->is_real) return read_real(field, attribute, reason);
  if (field.type != PluginFieldType::kINT32 && field.type != PluginFieldType::kINT64) {
    return reason->refuse("attribute '%s' must hold integers", attribute->name);
  }
  if (field.length < 1 || field.length > attribute->capacity || field.data == nullptr) {
    return reason->refuse("attribute '%s' has %d values, it takes %s%d", attribute->name,
                          field.data == nullptr ? 0 : static_cast<int>(field.length),
                          attribute->capacity == 1 ? "" : "1 to ", attribute->capacity);
  }
  for (int32_t i = 0; i < field.length; ++i) {
    const int64_t value = field.type == PluginFieldType::kINT32
                              ? static_cast<const int32_t*>(field.data)[i]
                              : static_cast<const int64_t*>(field.data)[i];
    if (value < attribute->low || value > attribute->high) {
      return reason->refuse("attribute '%s' holds %lld, it takes %d to %d", attribute->name,
                            static_cast<long long>(value), attribute->low, attribute->high);
    }
    attribute->values[i] = static_cast<int32_t>(value);
  }
  attribute->count = field.length;
  return true;
}

// One value of an attribute as text; reals in as many digits as tell any two apart.
void print_value(const Attribute& a, int32_t index, char* text, size_t size) {
  if (a.is_real) {
    std::snprintf(text, size, "%.9g", static_cast<double>(a.real));
  } else {
    std::snprintf(text, size, "%d", a.values[index]);
  }
}

}  // namespace

bool Reason::refuse(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  return false;
}

bool read_attributes(const nvinfer1::PluginFieldCollection* fields, Attribute* attributes,
                     int32_t count, Reason* reason) {
  if (fields == nullptr || fields->nbFields < 0 ||
      (fields->nbFields > 0 && fields->fields == nullptr)) {
    return reason->refuse("no collection of attributes was given");
  }
  for (int32_t i = 0; i < fields->nbFields; ++i) {
    const PluginField& field = fields->fields[i];
    if (field.name == nullptr) return reason->refuse("attribute %d has no name", i);
    if (is_parsers_own(field.name)) continue;
    Attribute* attribute = find(attributes, count, field.name);
    if (attribute == nullptr) return reason->refuse("there is no attribute '%s'", field.name);
    if (!read(field, attribute, reason)) return false;
  }
  for (int32_t i = 0; i < count; ++i) {
    if (attributes[i].is_real && attributes[i].count == 0) {
      return reason->refuse("attribute '%s' is missing", attributes[i].name);
    }
  }
  return true;
}

int32_t write_fields(const Attribute* attributes, int32_t count, PluginField* fields) {
  int32_t written = 0;
  for (int32_t i = 0; i < count; ++i) {
    const Attribute& a = attributes[i];
    if (a.count == 0) continue;
    const void* data = a.is_real ? static_cast<const void*>(&a.real) : a.values;
    fields[written++] = PluginField(a.name, data, a.field_type(), a.count);
  }
  return written;
}

bool describe(const Attribute* attributes, int32_t count, char* text, size_t size) {
  size_t used = 0;
  for (int32_t i = 0; i < count; ++i) {
    const Attribute& a = attributes[i];
    for (int32_t j = 0; j < a.count; ++j) {
      char value[32];
      print_value(a, j, value, sizeof value);
      const int wrote = j == 0 ? std::snprintf(text + used, size - used, "%s%s=%s",
                                               used == 0 ? "" : " ", a.name, value)
                               : std::snprintf(text + used, size - used, ",%s", value);
      if (wrote < 0 || static_cast<size_t>(wrote) >= size - used) return false;
      used += static_cast<size_t>(wrote);
    }
  }
  return true;
}

}  // namespace posemamba::trt
