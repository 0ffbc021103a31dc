#include "proxy/directory/pam.h"

#include <security/pam_appl.h>

#include <cstdlib>
#include <cstring>

#include "proxy/log.h"

namespace headgate {

namespace {

constexpr char service[] = "pgbouncer";

void drop_replies(pam_response* replies, int count) {
  for (int i = 0; i < count; ++i) {
    if (replies[i].resp) explicit_bzero(replies[i].resp, std::strlen(replies[i].resp));
    std::free(replies[i].resp);
  }
  std::free(replies);
}

// The one question that a client can answer is the one for its password.
int converse(int count, const pam_message** messages, pam_response** replies, void* password) {
  if (count <= 0 || count > PAM_MAX_NUM_MSG) return PAM_CONV_ERR;
  auto* answers =
      static_cast<pam_response*>(std::calloc(static_cast<size_t>(count), sizeof(pam_response)));
  if (!answers) return PAM_BUF_ERR;
  for (int i = 0; i < count; ++i) {
    const int style = messages[i]->msg_style;
    if (style == PAM_TEXT_INFO || style == PAM_ERROR_MSG) continue;
    if (style == PAM_PROMPT_ECHO_OFF) answers[i].resp = strdup(static_cast<const char*>(password));
    if (answers[i].resp) continue;
    drop_replies(answers, count);
    return PAM_CONV_ERR;
  }
  *replies = answers;
  return PAM_SUCCESS;
}

}  // namespace

bool pam_accepts(const DirectoryQuestion& question) {
  Bytes password = question.password;
  const pam_conv conversation{converse, password.data()};
  pam_handle_t* pam = nullptr;
  int result = pam_start(service, question.user.c_str(), &conversation, &pam);
  if (result == PAM_SUCCESS && !question.remote_host.empty()) {
    result = pam_set_item(pam, PAM_RHOST, question.remote_host.c_str());
  }
  if (result == PAM_SUCCESS) result = pam_authenticate(pam, PAM_SILENT);
  if (result == PAM_SUCCESS) result = pam_acct_mgmt(pam, PAM_SILENT);
  if (result != PAM_SUCCESS) {
    log(LogLevel::warning, "PAM refuses user \"{}\": {}", question.user,
        pam ? pam_strerror(pam, result) : "cannot be started");
  }
  if (pam) pam_end(pam, result);
  wipe(password);
  return result == PAM_SUCCESS;
}

}  // namespace headgate
