/* The happy path is short: down from the root to a leaf, by halves within each node, and there the value goes in or out.
 *
 *   inner  values    │ 3        │ 21       │      the first value below each child
 *          children  │ ●        │ ●        │
 *                      ▼          ▼
 *   leaf             │ 3 8 14   │ 21 30 │    ──next──►
 *
 * On the way down each child is made ready for what may come up from below: before an insertion it has room for one more
 * entry, before a removal it can spare one. A full child gives to the one beside it, and is split in two when that one is
 * nearly full as well; a poor child takes from the one beside it, or the two become one. So nothing ever goes back up but
 * a new first value, and a set that is filled in ascending order has full nodes. */
#include "core/ordered.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define NODE_LEN_MAX    60u
#define NODE_LEN_MIN    20u /* but for the root */
#define NODE_LEN_GIVEN  52u /* at most, of a node that is given entries by a full one, which so gets room for some */
#define NODE_LEN_MERGED 45u /* at most, of two nodes that become one */
#define HEIGHT_MAX      15u /* NODE_LEN_MIN to this power is more than there are numbers */

struct ordered_node {
    struct ordered_node *next; /* the one behind it on its level */
    size_t len;
    uint64_t values[NODE_LEN_MAX]; /* of an inner node: the first value below each child */
    struct ordered_node *children[];
};

#define LEAF_BYTES  sizeof(struct ordered_node)
#define INNER_BYTES (LEAF_BYTES + NODE_LEN_MAX * sizeof(struct ordered_node *))
static_assert(INNER_BYTES < 1000, "1024 bytes are a large request to glibc");

/* What is looked for: a probe, or (NULL) a value. */
struct target {
    const void *probe;
    uint64_t value;
};

/* The way from the root down to a leaf: inner nodes, and which child was taken. */
struct path {
    struct ordered_node *nodes[HEIGHT_MAX];
    size_t positions[HEIGHT_MAX];
    size_t len;
};

void ordered_init(struct ordered *set, const struct ordered_order *order, const void *argument)
{
    *set = (struct ordered){.order = order, .argument = argument};
}

void ordered_close(struct ordered *set)
{
    struct ordered_node *level = set->root;
    for (size_t height = set->height; level != NULL; height--) {
        struct ordered_node *below = height > 0 ? level->children[0] : NULL;
        while (level != NULL) {
            struct ordered_node *next = level->next;
            free(level);
            level = next;
        }
        level = below;
    }
    ordered_init(set, set->order, set->argument);
}

/* ---- looking ---- */

static int compare(const struct ordered *set, const struct target *target, uint64_t value)
{
    return target->probe != NULL ? set->order->compare_probe(set->argument, target->probe, value)
                                 : set->order->compare(set->argument, target->value, value);
}

/* The position of the first value, from `begin` on, that doesn't go before the target, and whether it equals it. */
static size_t position_of(const struct ordered *set, const struct ordered_node *node, const struct target *target,
                          size_t begin, bool *is_equal)
{
    size_t end = node->len;
    *is_equal = false;
    while (begin < end) {
        size_t middle = begin + (end - begin) / 2;
        int order = compare(set, target, node->values[middle]);
        if (order == 0) {
            *is_equal = true;
            return middle;
        }
        if (order < 0) {
            end = middle;
        } else {
            begin = middle + 1;
        }
    }
    return begin;
}

/* The child below which the target is or belongs. What goes before everything belongs below the first. */
static size_t child_of(const struct ordered *set, const struct ordered_node *node, const struct target *target)
{
    bool is_equal;
    size_t position = position_of(set, node, target, 1, &is_equal);
    position -= is_equal ? 0 : 1;
    CHECK(position < node->len);
    return position;
}

static struct ordered_cursor seek(const struct ordered *set, const struct target *target, bool *is_equal)
{
    const struct ordered_node *node = set->root;
    *is_equal = false;
    if (node == NULL) {
        return (struct ordered_cursor){0};
    }
    for (size_t height = set->height; height > 0; height--) {
        node = node->children[child_of(set, node, target)];
    }
    return (struct ordered_cursor){.leaf = node, .position = position_of(set, node, target, 0, is_equal)};
}

bool ordered_find(const struct ordered *set, const void *probe, uint64_t *value)
{
    bool is_equal;
    struct ordered_cursor at = seek(set, &(struct target){.probe = probe}, &is_equal);
    return is_equal && ordered_next(&at, value);
}

struct ordered_cursor ordered_seek(const struct ordered *set, const void *probe)
{
    bool is_equal;
    return seek(set, &(struct target){.probe = probe}, &is_equal);
}

struct ordered_cursor ordered_first(const struct ordered *set)
{
    const struct ordered_node *node = set->root;
    for (size_t height = set->height; height > 0; height--) {
        node = node->children[0];
    }
    return (struct ordered_cursor){.leaf = node};
}

bool ordered_next(struct ordered_cursor *cursor, uint64_t *value)
{
    if (cursor->leaf != NULL && cursor->position == cursor->leaf->len) {
        *cursor = (struct ordered_cursor){.leaf = cursor->leaf->next};
    }
    if (cursor->leaf == NULL) {
        return false;
    }
    *value = cursor->leaf->values[cursor->position++];
    return true;
}

/* ---- entries and nodes ---- */

static struct ordered_node *node_new(bool is_inner)
{
    struct ordered_node *node = calloc(1, is_inner ? INNER_BYTES : LEAF_BYTES);
    CHECK(node != NULL);
    return node;
}

struct entries {
    struct ordered_node *node;
    size_t begin;
};

/* Both ranges may lie in one node. The lengths are the caller's to set. */
static void move_entries(struct entries to, struct entries from, size_t count, bool is_inner)
{
    memmove(to.node->values + to.begin, from.node->values + from.begin, count * sizeof(uint64_t));
    if (is_inner) {
        memmove(to.node->children + to.begin, from.node->children + from.begin, count * sizeof(struct ordered_node *));
    }
}

static void open_gap(struct ordered_node *node, size_t position, size_t count, bool is_inner)
{
    CHECK(node->len + count <= NODE_LEN_MAX && position <= node->len);
    move_entries((struct entries){node, position + count}, (struct entries){node, position}, node->len - position,
                 is_inner);
    node->len += count;
}

static void close_gap(struct ordered_node *node, size_t position, size_t count, bool is_inner)
{
    CHECK(position + count <= node->len);
    node->len -= count;
    move_entries((struct entries){node, position}, (struct entries){node, position + count}, node->len - position,
                 is_inner);
}

/* The child at `position` and the one behind it get equally many entries. */
static void children_even_out(struct ordered_node *parent, size_t position, bool are_inner)
{
    struct ordered_node *left = parent->children[position];
    struct ordered_node *right = parent->children[position + 1];
    size_t wanted = (left->len + right->len) / 2;
    if (left->len > wanted) {
        size_t count = left->len - wanted;
        open_gap(right, 0, count, are_inner);
        move_entries((struct entries){right, 0}, (struct entries){left, wanted}, count, are_inner);
    } else {
        size_t count = wanted - left->len;
        move_entries((struct entries){left, left->len}, (struct entries){right, 0}, count, are_inner);
        close_gap(right, 0, count, are_inner);
    }
    left->len = wanted;
    parent->values[position + 1] = right->values[0];
}

/* All entries of the child behind `position` go to the one there. */
static void children_merge(struct ordered_node *parent, size_t position, bool are_inner)
{
    struct ordered_node *left = parent->children[position];
    struct ordered_node *right = parent->children[position + 1];
    move_entries((struct entries){left, left->len}, (struct entries){right, 0}, right->len, are_inner);
    left->len += right->len;
    left->next = right->next;
    free(right);
    close_gap(parent, position + 1, 1, true);
}

static void child_split(struct ordered_node *parent, size_t position, bool is_inner)
{
    struct ordered_node *left = parent->children[position];
    struct ordered_node *right = node_new(is_inner);
    right->next = left->next;
    left->next = right;
    open_gap(parent, position + 1, 1, true);
    parent->children[position + 1] = right;
    children_even_out(parent, position, is_inner);
}

/* Room in the full child at `position`; its parent has some. */
static void child_make_room(struct ordered_node *parent, size_t position, bool is_inner)
{
    if (position > 0 && parent->children[position - 1]->len <= NODE_LEN_GIVEN) {
        children_even_out(parent, position - 1, is_inner);
    } else if (position + 1 < parent->len && parent->children[position + 1]->len <= NODE_LEN_GIVEN) {
        children_even_out(parent, position, is_inner);
    } else {
        child_split(parent, position, is_inner);
    }
}

/* More entries for the child at `position`, which has as few as it may; its parent can spare one. */
static void child_enrich(struct ordered_node *parent, size_t position, bool is_inner)
{
    position -= position > 0 ? 1 : 0;
    if (parent->children[position]->len + parent->children[position + 1]->len <= NODE_LEN_MERGED) {
        children_merge(parent, position, is_inner);
    } else {
        children_even_out(parent, position, is_inner);
    }
}

/* ---- changing ---- */

static void path_append(struct path *path, struct ordered_node *node, size_t position)
{
    CHECK(path->len < HEIGHT_MAX);
    path->nodes[path->len] = node;
    path->positions[path->len++] = position;
}

/* The leaf where the path ends begins with another value now. */
static void path_set_first(const struct path *path, uint64_t value)
{
    for (size_t i = path->len; i-- > 0;) {
        path->nodes[i]->values[path->positions[i]] = value;
        if (path->positions[i] > 0) {
            return;
        }
    }
}

static void grow_root(struct ordered *set)
{
    if (set->root == NULL) {
        CHECK(set->height == 0);
        set->root = node_new(false);
    } else if (set->root->len == NODE_LEN_MAX) {
        struct ordered_node *root = node_new(true);
        root->len = 1;
        root->values[0] = set->root->values[0];
        root->children[0] = set->root;
        set->root = root;
        set->height++;
    }
}

static void shrink_root(struct ordered *set)
{
    struct ordered_node *root = set->root;
    if (set->height > 0 && root->len == 1) {
        set->root = root->children[0];
        set->height--;
        free(root);
    } else if (root->len == 0) {
        set->root = NULL;
        free(root);
    }
}

bool ordered_insert(struct ordered *set, uint64_t value)
{
    const struct target target = {.value = value};
    struct path path = {.len = 0};
    grow_root(set);
    struct ordered_node *node = set->root;
    for (size_t height = set->height; height > 0; height--) {
        size_t position = child_of(set, node, &target);
        if (node->children[position]->len == NODE_LEN_MAX) {
            child_make_room(node, position, height > 1);
            position = child_of(set, node, &target);
        }
        path_append(&path, node, position);
        node = node->children[position];
    }
    bool is_equal;
    size_t position = position_of(set, node, &target, 0, &is_equal);
    if (is_equal) {
        return false;
    }
    open_gap(node, position, 1, false);
    node->values[position] = value;
    set->count++;
    if (position == 0) {
        path_set_first(&path, value);
    }
    return true;
}

bool ordered_remove(struct ordered *set, uint64_t value)
{
    const struct target target = {.value = value};
    struct path path = {.len = 0};
    struct ordered_node *node = set->root;
    if (node == NULL) {
        return false;
    }
    for (size_t height = set->height; height > 0; height--) {
        size_t position = child_of(set, node, &target);
        if (node->children[position]->len == NODE_LEN_MIN) {
            child_enrich(node, position, height > 1);
            position = child_of(set, node, &target);
        }
        path_append(&path, node, position);
        node = node->children[position];
    }
    bool is_equal;
    size_t position = position_of(set, node, &target, 0, &is_equal);
    if (is_equal) {
        close_gap(node, position, 1, false);
        set->count--;
        if (position == 0 && node->len > 0) {
            path_set_first(&path, node->values[0]);
        }
    }
    shrink_root(set);
    return is_equal;
}

/* ---- checking ---- */

static void check_node(const struct ordered *set, const struct ordered_node *node, size_t height)
{
    if (node != set->root) {
        CHECK(node->len >= NODE_LEN_MIN);
    }
    CHECK(node->len >= (height > 0 ? 2 : 1) && node->len <= NODE_LEN_MAX);
    for (size_t i = 1; i < node->len; i++) {
        CHECK(set->order->compare(set->argument, node->values[i - 1], node->values[i]) < 0);
    }
    if (node->next != NULL) {
        CHECK(set->order->compare(set->argument, node->values[node->len - 1], node->next->values[0]) < 0);
    }
}

void ordered_check(const struct ordered *set)
{
    const struct ordered_node *level = set->root;
    uint64_t count = 0;
    CHECK(level != NULL || (set->count == 0 && set->height == 0));
    for (size_t height = set->height; level != NULL; height--) {
        const struct ordered_node *first_below = height > 0 ? level->children[0] : NULL;
        const struct ordered_node *below = first_below;
        for (const struct ordered_node *node = level; node != NULL; node = node->next) {
            check_node(set, node, height);
            for (size_t i = 0; height > 0 && i < node->len; i++, below = below->next) {
                CHECK(below != NULL && node->children[i] == below && node->values[i] == below->values[0]);
            }
            count += height == 0 ? node->len : 0;
        }
        CHECK(below == NULL);
        level = first_below;
    }
    CHECK(count == set->count);
}
