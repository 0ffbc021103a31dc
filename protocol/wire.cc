#include "protocol/wire.h"

#include <limits>

#include "base/check.h"

namespace headgate {

View Reader::take(size_t count) {
  if (count > rest_.size()) {
    spoil();
    return {};
  }
  const View taken = rest_.substr(0, count);
  rest_.remove_prefix(count);
  return taken;
}

void Reader::get(char& field) {
  const View bytes = take(sizeof field);
  field = spoiled_ ? '\0' : bytes[0];
}

void Reader::get(uint8_t& field) {
  const View bytes = take(sizeof field);
  field = spoiled_ ? 0 : static_cast<uint8_t>(bytes[0]);
}

void Reader::get(uint16_t& field) {
  const View bytes = take(sizeof field);
  field = spoiled_ ? 0 : load_u16(bytes.data());
}

void Reader::get(int16_t& field) {
  uint16_t bits;
  get(bits);
  field = static_cast<int16_t>(bits);
}

void Reader::get(int32_t& field) {
  const View bytes = take(sizeof field);
  field = spoiled_ ? 0 : static_cast<int32_t>(load_u32(bytes.data()));
}

void Reader::get(View& field) {
  const size_t zero = rest_.find('\0');
  if (zero == View::npos) {
    spoil();
    field = {};
    return;
  }
  field = take(zero);
  take(1);
}

Writer::Writer(Bytes& out, char tag) : out_(out) {
  if (tag != 0) out_.push_back(tag);
  length_at_ = out_.size();
  out_.append(length_size, '\0');
}

Writer::~Writer() {
  const size_t length = out_.size() - length_at_;
  MUST(length <= std::numeric_limits<int32_t>::max());
  store_u32(out_.data() + length_at_, static_cast<uint32_t>(length));
}

Writer& Writer::put(char field) {
  out_.push_back(field);
  return *this;
}

Writer& Writer::put(uint8_t field) { return put(static_cast<char>(field)); }

Writer& Writer::put(uint16_t field) {
  char bytes[sizeof field];
  store_u16(bytes, field);
  return raw(View(bytes, sizeof bytes));
}

Writer& Writer::put(int16_t field) { return put(static_cast<uint16_t>(field)); }

Writer& Writer::put(int32_t field) {
  char bytes[sizeof field];
  store_u32(bytes, static_cast<uint32_t>(field));
  return raw(View(bytes, sizeof bytes));
}

Writer& Writer::put(View field) {
  MUST(field.find('\0') == View::npos);
  out_.append(field);
  out_.push_back('\0');
  return *this;
}

Writer& Writer::raw(View bytes) {
  out_.append(bytes);
  return *this;
}

}  // namespace headgate
