// The rules of TLS towards one side, clients or servers, ready for use: an immutable snapshot made
// from settings and the files that they name, at the start, at RELOAD and at SET. Every connection
// keeps the one it was made with. Shared by all workers.
//
//   mode         towards clients                       towards servers
//   disable      no TLS                                no TLS
//   allow/prefer as the client wishes                  if the server has it
//   require      a must                                a must
//   verify-ca    and the client shows a certificate    and its certificate is verified
//   verify-full  the same as verify-ca                 and is for the host that was asked for
//
// A certificate that a client shows is verified in every mode in which there is a CA file.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "base/time.h"
#include "conf/ini.h"
#include "conf/settings.h"

struct ssl_ctx_st;

namespace headgate {

/// The settings of one side, in the words of the file.
struct TlsRules {
  enum class Side : uint8_t { clients, servers };
  Side side = Side::clients;
  SslMode mode = SslMode::disable;
  std::string key_file, cert_file, ca_file;
  std::string protocols, ciphers, tls13_ciphers;
  std::string dheparams, ecdhcurve;

  bool operator==(const TlsRules&) const = default;
  /// The full name of one of these settings: "client_tls_" and the name.
  std::string setting(View name) const;
};

class TlsContext;
using TlsContextPtr = std::shared_ptr<const TlsContext>;

class TlsContext {
 public:
  /// Contents of the files that the rules name.
  struct Files {
    std::string key, certificate, ca;
    bool operator==(const Files&) const = default;
    ~Files() { wipe(key); }
  };

  /// An error names the setting, the file, and what is wrong.
  static Result<TlsContextPtr> make(TlsRules rules, const Files& files);
  /// The same rules and files with a new key for session tickets.
  Result<TlsContextPtr> with_new_ticket_key() const { return make(rules_, files_); }

  SslMode mode() const { return rules_.mode; }
  const TlsRules& rules() const { return rules_; }
  bool is_made_of(const TlsRules& rules, const Files& files) const {
    return rules_ == rules && files_ == files;
  }
  ssl_ctx_st* handle() const { return handle_.get(); }
  /// The end_point_hash() of the own certificate; empty where there is none.
  const Bytes& own_end_point() const { return own_end_point_; }

 private:
  TlsContext(TlsRules rules, const Files& files) : rules_(std::move(rules)), files_(files) {}

  Result<Done> set_up();
  Result<Done> set_versions();
  Result<Done> set_ciphers();
  Result<Done> use_certificate();
  Result<Done> use_ca();
  void set_verification();
  Error unusable(View setting, const std::string& file, const std::string& why) const;
  Error invalid(const std::string& setting, const std::string& value) const;

  const TlsRules rules_;
  const Files files_;
  struct Free {
    void operator()(ssl_ctx_st* handle) const;
  };
  std::unique_ptr<ssl_ctx_st, Free> handle_;
  Bytes own_end_point_;
};

/// Both sides; null where the mode is disable.
struct Tls {
  TlsContextPtr clients, servers;
};

/// What the settings ask for. A side that is as in `before`, its files included, is taken over from
/// there; so session tickets stay good.
Result<Tls> make_tls(const Settings& settings, const FileReader& read, const Tls& before = {});

/// Whether a server connection made by one may go on under the other: the settings are the same.
/// (The contents of files take effect with the next connection.)
bool same_rules(const TlsContextPtr& one, const TlsContextPtr& other);

/// How long a session ticket is good; after so long at most there is to be a new key for them.
constexpr Duration ticket_life = seconds(2 * 3600);

}  // namespace headgate
