#include "base/list.h"

#include <doctest/doctest.h>

#include <string>

using namespace headgate;

namespace {

struct ByAge;
struct Member : ListNode<Member>, ListNode<ByAge> {
  explicit Member(char c) : letter(c) {}
  char letter;
};

template <class Tag>
std::string letters(const List<Member, Tag>& list) {
  std::string seen;
  list.for_each([&](const Member& member) { seen += member.letter; });
  return seen;
}

}  // namespace

TEST_CASE("list: members keep the order in which they joined, at either end") {
  Member a('a'), b('b'), c('c');
  List<Member> list;
  CHECK(list.empty());
  list.push_back(a);
  list.push_back(b);
  list.push_front(c);
  CHECK(letters(list) == "cab");
  CHECK(list.size() == 3);
  CHECK(list.front().letter == 'c');
  CHECK(list.back().letter == 'b');
  CHECK(list.pop_front() == &c);
  CHECK(list.pop_front() == &a);
  CHECK(list.pop_front() == &b);
  CHECK(list.pop_front() == nullptr);
  CHECK(list.empty());
}

TEST_CASE("list: a member leaves from anywhere, and may join again") {
  Member a('a'), b('b'), c('c');
  List<Member> list;
  for (Member* member : {&a, &b, &c}) list.push_back(*member);
  list.remove(b);
  CHECK(letters(list) == "ac");
  CHECK_FALSE(b.ListNode<Member>::linked());
  list.push_back(b);
  CHECK(letters(list) == "acb");
  list.remove(a);
  list.remove(b);
  list.remove(c);
  CHECK(list.size() == 0);
}

TEST_CASE("list: a member can be in one list for each tag") {
  Member a('a'), b('b');
  List<Member> list;
  List<Member, ByAge> by_age;
  list.push_back(a);
  list.push_back(b);
  by_age.push_back(b);
  by_age.push_back(a);
  CHECK(letters(list) == "ab");
  CHECK(letters(by_age) == "ba");
  list.remove(a);
  CHECK(letters(list) == "b");
  CHECK(letters(by_age) == "ba");
  list.remove(b);
  by_age.remove(a);
  by_age.remove(b);
}

TEST_CASE("list: the visited member may leave during its visit") {
  Member a('a'), b('b'), c('c');
  List<Member> list;
  List<Member> other;
  for (Member* member : {&a, &b, &c}) list.push_back(*member);
  std::string seen;
  list.for_each([&](Member& member) {
    seen += member.letter;
    list.remove(member);
    other.push_front(member);
  });
  CHECK(seen == "abc");
  CHECK(list.empty());
  CHECK(letters(other) == "cba");
  while (other.pop_front()) {
  }
}

TEST_CASE("list: a member is inserted in front of the first that is to follow it") {
  Member a('a'), b('b'), c('c'), e('e');
  List<Member> list;
  const auto insert = [&](Member& member) {
    list.insert_before(member, [&](const Member& other) { return other.letter > member.letter; });
  };
  insert(c);
  insert(e);
  insert(a);
  insert(b);
  CHECK(letters(list) == "abce");
  while (list.pop_front()) {
  }
}
