// An intrusive doubly linked list: the member carries the links, so moving between lists costs no
// memory and a member can leave in O(1) without knowing where it is. The list owns nothing.
#pragma once

#include <cstddef>

#include "base/check.h"

namespace headgate {

template <class Tag>
class ListNode {
 public:
  ListNode() = default;
  ListNode(const ListNode&) = delete;
  ListNode& operator=(const ListNode&) = delete;
  ~ListNode() { MUST(!linked()); }

  bool linked() const { return next_ != nullptr; }

 private:
  template <class, class>
  friend class List;
  ListNode* previous_ = nullptr;
  ListNode* next_ = nullptr;
};

/// A list of T, which derives from ListNode<Tag>; a T can be in one list for each Tag it carries.
template <class T, class Tag = T>
class List {
  using Node = ListNode<Tag>;

 public:
  List() { head_.previous_ = head_.next_ = &head_; }
  List(const List&) = delete;
  List& operator=(const List&) = delete;
  ~List() {
    MUST(empty());
    head_.previous_ = head_.next_ = nullptr;
  }

  bool empty() const { return head_.next_ == &head_; }
  size_t size() const { return size_; }

  T& front() { return item(head_.next_); }
  const T& front() const { return item(head_.next_); }
  T& back() { return item(head_.previous_); }

  void push_back(T& member) { insert(head_.previous_, member); }
  void push_front(T& member) { insert(&head_, member); }
  /// In front of the first of which follows(member) holds; else at the back.
  template <class Follows>
  void insert_before(T& member, Follows&& follows) {
    Node* node = head_.next_;
    while (node != &head_ && !follows(item(node))) node = node->next_;
    insert(node->previous_, member);
  }

  void remove(T& member) {
    Node& node = member;
    MUST(node.linked());
    node.previous_->next_ = node.next_;
    node.next_->previous_ = node.previous_;
    node.previous_ = node.next_ = nullptr;
    --size_;
  }

  T* pop_front() {
    if (empty()) return nullptr;
    T& member = front();
    remove(member);
    return &member;
  }

  /// Calls visit(member) for each; the visited member may leave the list during its visit.
  template <class Visit>
  void for_each(Visit&& visit) {
    for (Node* node = head_.next_; node != &head_;) {
      Node* next = node->next_;
      visit(item(node));
      node = next;
    }
  }
  template <class Visit>
  void for_each(Visit&& visit) const {
    for (const Node* node = head_.next_; node != &head_; node = node->next_) visit(item(node));
  }

 private:
  static T& item(Node* node) { return *static_cast<T*>(node); }
  static const T& item(const Node* node) { return *static_cast<const T*>(node); }

  void insert(Node* after, T& member) {
    Node& node = member;
    MUST(!node.linked());
    node.previous_ = after;
    node.next_ = after->next_;
    after->next_->previous_ = &node;
    after->next_ = &node;
    ++size_;
  }

  Node head_;
  size_t size_ = 0;
};

}  // namespace headgate
