/* SPDX-License-Identifier: Apache-2.0
 * The protocol of base/ring for spin: one producer, one consumer, CAPACITY slots.
 * An item takes two steps to copy in (torn in between) and two to copy out, so that an overlap of
 * the two copies in one slot would be seen. Each side works on its last look at the other's counter, as
 * the code does; what a release and its acquire order in C is program order here.
 *     spin -run -safety tests/models/ring.pml
 * Checked: no slot is written while it is read or read while it is written, items leave in
 * order and whole, taken <= put <= taken + CAPACITY, and both sides end. */
#define CAPACITY 2
#define ITEMS 6
#define TORN 255

byte slot[CAPACITY];
byte put, taken;              /* what the sides publish */
bool writing[CAPACITY], reading[CAPACITY];

active proctype producer()
{
    byte seen = 0, number = 0;
    do
    :: number < ITEMS ->
        if
        :: number - seen == CAPACITY -> seen = taken      /* acquire */
        :: else -> skip
        fi;
        if
        :: number - seen == CAPACITY -> skip              /* full: BUSY */
        :: else ->
            writing[number % CAPACITY] = true;
            assert(!reading[number % CAPACITY]);
            slot[number % CAPACITY] = TORN;
            slot[number % CAPACITY] = number;
            writing[number % CAPACITY] = false;
            number++;
            put = number;                                 /* release */
            assert(put - taken <= CAPACITY)
        fi
    :: number == ITEMS -> break
    od
}

active proctype consumer()
{
    byte seen = 0, number = 0, item;
    do
    :: number < ITEMS ->
        if
        :: number == seen -> seen = put                   /* acquire */
        :: else -> skip
        fi;
        if
        :: number == seen -> skip                         /* empty */
        :: else ->
            reading[number % CAPACITY] = true;
            assert(!writing[number % CAPACITY]);
            item = slot[number % CAPACITY];
            assert(item == number);
            item = slot[number % CAPACITY];
            assert(item == number);
            reading[number % CAPACITY] = false;
            number++;
            taken = number;                               /* release */
            assert(taken <= put)
        fi
    :: number == ITEMS -> break
    od
}
