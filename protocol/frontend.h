// What a client sends to a server, after the start-up packet: tags, and a struct for each message.
// (PostgreSQL documentation, "Message Formats".)
#pragma once

#include "protocol/codec.h"

namespace headgate::frontend {

constexpr char bind = 'B';
constexpr char close = 'C';
constexpr char copy_data = 'd';
constexpr char copy_done = 'c';
constexpr char copy_fail = 'f';
constexpr char describe = 'D';
constexpr char execute = 'E';
constexpr char flush = 'H';
constexpr char function_call = 'F';
constexpr char parse = 'P';
constexpr char password = 'p';  // and every other answer to a request for authentication
constexpr char query = 'Q';
constexpr char sync = 'S';
constexpr char terminate = 'X';

/// What Close and Describe are about, in their letters.
enum class Target : char { statement = 'S', portal = 'P' };

struct Bind {
  static constexpr char tag = bind;
  static constexpr View name = "Bind";
  View portal;
  View statement;
  std::vector<int16_t> formats;  // none: all text; one: for all; else one for each value
  std::vector<Value> values;
  std::vector<int16_t> result_formats;
  static auto fields(auto& m) {
    return std::tie(m.portal, m.statement, m.formats, m.values, m.result_formats);
  }
};

struct Close {
  static constexpr char tag = close;
  static constexpr View name = "Close";
  Target target = Target::statement;
  View of;
  static auto fields(auto& m) { return std::tie(m.target, m.of); }
};

struct CopyData {
  static constexpr char tag = copy_data;
  static constexpr View name = "CopyData";
  Rest data;
  static auto fields(auto& m) { return std::tie(m.data); }
};

struct CopyDone {
  static constexpr char tag = copy_done;
  static constexpr View name = "CopyDone";
  static auto fields(auto&) { return std::tie(); }
};

struct CopyFail {
  static constexpr char tag = copy_fail;
  static constexpr View name = "CopyFail";
  View reason;
  static auto fields(auto& m) { return std::tie(m.reason); }
};

struct Describe {
  static constexpr char tag = describe;
  static constexpr View name = "Describe";
  Target target = Target::statement;
  View of;
  static auto fields(auto& m) { return std::tie(m.target, m.of); }
};

struct Execute {
  static constexpr char tag = execute;
  static constexpr View name = "Execute";
  View portal;
  int32_t max_rows = 0;  // zero: all
  static auto fields(auto& m) { return std::tie(m.portal, m.max_rows); }
};

struct Flush {
  static constexpr char tag = flush;
  static constexpr View name = "Flush";
  static auto fields(auto&) { return std::tie(); }
};

struct FunctionCall {
  static constexpr char tag = function_call;
  static constexpr View name = "FunctionCall";
  int32_t function = 0;  // its object id
  std::vector<int16_t> formats;
  std::vector<Value> arguments;
  int16_t result_format = 0;
  static auto fields(auto& m) {
    return std::tie(m.function, m.formats, m.arguments, m.result_format);
  }
};

struct Parse {
  static constexpr char tag = parse;
  static constexpr View name = "Parse";
  View statement;
  View query;
  std::vector<int32_t> types;  // object ids of the parameters' types; zero: unspecified
  static auto fields(auto& m) { return std::tie(m.statement, m.query, m.types); }
};

/// The answer to AuthenticationCleartextPassword and AuthenticationMD5Password.
struct Password {
  static constexpr char tag = password;
  static constexpr View name = "Password";
  View text;
  static auto fields(auto& m) { return std::tie(m.text); }
};

/// The answer to AuthenticationSASL.
struct SaslInitialResponse {
  static constexpr char tag = password;
  static constexpr View name = "SASLInitialResponse";
  View mechanism;
  Value data;
  static auto fields(auto& m) { return std::tie(m.mechanism, m.data); }
};

/// The answer to AuthenticationSASLContinue.
struct SaslResponse {
  static constexpr char tag = password;
  static constexpr View name = "SASLResponse";
  Rest data;
  static auto fields(auto& m) { return std::tie(m.data); }
};

/// The answer to AuthenticationGSS and AuthenticationSSPI.
struct GssResponse {
  static constexpr char tag = password;
  static constexpr View name = "GSSResponse";
  Rest data;
  static auto fields(auto& m) { return std::tie(m.data); }
};

struct Query {
  static constexpr char tag = query;
  static constexpr View name = "Query";
  View text;
  static auto fields(auto& m) { return std::tie(m.text); }
};

struct Sync {
  static constexpr char tag = sync;
  static constexpr View name = "Sync";
  static auto fields(auto&) { return std::tie(); }
};

struct Terminate {
  static constexpr char tag = terminate;
  static constexpr View name = "Terminate";
  static auto fields(auto&) { return std::tie(); }
};

}  // namespace headgate::frontend
