#include "auth/ldap_options.h"

#include <doctest/doctest.h>

using namespace headgate;

namespace {

LdapOptions parse(View text) {
  auto options = LdapOptions::parse(text);
  REQUIRE_MESSAGE(options.ok(), std::string(text));
  return *std::move(options);
}

std::string problem(View text) {
  const auto options = LdapOptions::parse(text);
  return options ? "none" : options.error().message;
}

}  // namespace

TEST_CASE("ldap: a simple bind puts the name between prefix and suffix") {
  const LdapOptions options =
      parse("ldapserver=ldap.example.net ldapprefix=\"cn=\" ldapsuffix=\", dc=example, dc=net\"");
  CHECK_FALSE(options.searches());
  CHECK(options.bind_name("bob") == "cn=bob, dc=example, dc=net");
  CHECK(options.uris() == "ldap://ldap.example.net:389");
}

TEST_CASE("ldap: servers, ports and schemes") {
  CHECK(parse("ldapserver=\"a b  c\" ldapport=1389").uris() ==
        "ldap://a:1389 ldap://b:1389 ldap://c:1389");
  CHECK(parse("ldapserver=a ldapscheme=ldaps").uris() == "ldaps://a:636");
  CHECK(parse("ldapserver=a ldaptls=1").start_tls);
  CHECK_FALSE(parse("ldapserver=a ldaptls=0").start_tls);
}

TEST_CASE("ldap: a search has a base and a filter") {
  const LdapOptions plain = parse("ldapserver=a ldapbasedn=dc=example,dc=net");
  CHECK(plain.searches());
  CHECK(plain.base_dn == "dc=example,dc=net");
  CHECK(plain.filter_for("bob") == "(uid=bob)");
  CHECK(parse("ldapserver=a ldapbasedn=b ldapsearchattribute=mail").filter_for("bob") ==
        "(mail=bob)");
  CHECK(parse("ldapserver=a ldapbasedn=b ldapsearchfilter=\"(|(uid=$username)(mail=$username))\"")
            .filter_for("bob") == "(|(uid=bob)(mail=bob))");
  CHECK(parse("ldapbasedn=dc=example,dc=net").uris().empty());  // DNS tells
}

TEST_CASE("ldap: a name that means something in a filter is not searched for") {
  const LdapOptions options = parse("ldapserver=a ldapbasedn=b");
  for (const View name : {"*", "a*", "a)(uid=*", "(", ")", "a\\2a", "a/b"}) {
    CHECK_FALSE(options.filter_for(name));
  }
  // What stands for the name is not looked for in the name.
  CHECK(parse("ldapserver=a ldapbasedn=b ldapsearchfilter=(x=$username)").filter_for("$username") ==
        "(x=$username)");
}

TEST_CASE("ldap: an URL has it all") {
  const LdapOptions options =
      parse("ldapurl=\"ldaps://h:1636/dc=example,dc=net?mail?one\" ldapbinddn=b");
  CHECK(options.uris() == "ldaps://h:1636");
  CHECK(options.base_dn == "dc=example,dc=net");
  CHECK(options.search_attribute == "mail");
  CHECK(options.scope == LdapOptions::Scope::one);
  CHECK(parse("ldapurl=ldap://[::1]:389/o=x").uris() == "ldap://[::1]:389");
  CHECK(parse("ldapurl=ldap://h/o=x??base").scope == LdapOptions::Scope::base);
  CHECK(parse("ldapurl=ldap://h/o=x??sub?(a=%2a)").search_filter == "(a=*)");
  CHECK(parse("ldapurl=ldap:///dc=example,dc=net").servers.empty());
}

TEST_CASE("ldap: the password is not shown") {
  const auto shown = [](View text) { return LdapOptions::without_password(text); };
  CHECK(shown("") == "");
  CHECK(shown("ldapserver=h ldapprefix=\"cn=\" ") == "ldapserver=h ldapprefix=\"cn=\" ");
  CHECK(shown("ldapserver=h  ldapbindpasswd=secret ldapbasedn=x") ==
        "ldapserver=h  ldapbindpasswd=*** ldapbasedn=x");
  CHECK(shown("ldapbindpasswd=\"two words\"") == "ldapbindpasswd=***");
  CHECK(shown("\"ldapbindpasswd=two words\" a=b") == "ldapbindpasswd=*** a=b");
}

TEST_CASE("ldap: what is wrong is named") {
  CHECK(problem("") == "expected ldapserver, found none");
  CHECK(problem("server=a") == "expected an LDAP option, found \"server\"");
  CHECK(problem("ldapserver=a ldapport=0") == "expected a port, found ldapport \"0\"");
  CHECK(problem("ldapserver=a ldapport=1x") == "expected a port, found ldapport \"1x\"");
  CHECK(problem("ldapserver=a ldapscheme=http") ==
        "expected ldap or ldaps, found ldapscheme \"http\"");
  CHECK(problem("ldapserver=a ldaptls=yes") == "expected 0 or 1, found ldaptls \"yes\"");
  CHECK(problem("ldapurl=h") == "expected ldap://host/basedn, found ldapurl \"h\"");
  CHECK(problem("ldapurl=ldap://h/b?a?tree") ==
        "expected base, one or sub as the scope of ldapurl, found \"tree\"");
  CHECK(problem("ldapurl=ldap://h/%zz").starts_with("expected two hexadecimal digits"));
  CHECK(problem("ldapurl=ldap://h/%00").starts_with("expected two hexadecimal digits"));
  CHECK(problem("ldapserver=\"a") == "a quote that is not closed");
  CHECK(problem("ldapserver=a ldapprefix=x ldapbasedn=y").ends_with("found both"));
  CHECK(problem("ldapserver=a ldapbinddn=x") == "expected ldapbasedn for a search, found none");
  CHECK(problem("ldapserver=a ldapbasedn=b ldapsearchattribute=c ldapsearchfilter=d")
            .ends_with("found both"));
  CHECK(problem("ldapserver=a ldapscheme=ldaps ldaptls=1").ends_with("found both"));
  CHECK(problem(Bytes(1024, 'x')) == "the LDAP options are too long");
}
