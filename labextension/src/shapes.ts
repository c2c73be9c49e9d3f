// Made by `make docs` from burst_magic/{ui/frame,ui/details,ui/timeline,server/listed}.py; do not edit.

export const SHAPES: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  "ComingWorkers": {
    "phase": "string",
    "count": "integer",
    "since": "number"
  },
  "FailureView": {
    "id": "string",
    "kind": "string",
    "type": "string",
    "line": "integer|null",
    "message": "string",
    "count": "integer",
    "messages": "integer",
    "first": "integer"
  },
  "FailuresPart": {
    "groups": "FailureView[]",
    "more": "integer",
    "more_tasks": "integer",
    "unread": "string"
  },
  "Frame": {
    "version": "integer",
    "session": "string",
    "job": "string",
    "title": "string",
    "out": "string",
    "launcher": "string",
    "at": "number",
    "created": "number",
    "ended": "number|null",
    "deadline": "number",
    "phase": "string",
    "end": "string",
    "state": "string",
    "progress": "string",
    "forecast": "number|null",
    "counts": "TaskCounts",
    "tasks": "TaskStrip",
    "money": "Money",
    "workers": "WorkerFacts",
    "waiting": "WaitAdvice|null",
    "stale": "Staleness|null",
    "longest": "LongestTask|null",
    "attach": "string",
    "revisions": "PartRevisions",
    "failures": "FailuresPart?",
    "output": "OutputPart?"
  },
  "KeptWorkers": {
    "count": "integer",
    "hourly": "integer",
    "until": "number"
  },
  "LongestTask": {
    "task": "integer",
    "since": "number",
    "worker": "string"
  },
  "Money": {
    "priced": "boolean",
    "free": "boolean",
    "at": "number",
    "spent": "integer",
    "hourly": "integer",
    "job": "integer|null",
    "estimate": "integer|null",
    "budget": "integer|null",
    "fargate": "integer",
    "fargate_hourly": "integer",
    "worker_hourly": "integer?",
    "kept": "KeptWorkers?"
  },
  "OutputLine": {
    "task": "integer",
    "text": "string"
  },
  "OutputPart": {
    "lines": "OutputLine[]"
  },
  "PartRevisions": {
    "failures": "string",
    "output": "string"
  },
  "Staleness": {
    "since": "number",
    "why": "string"
  },
  "TaskCounts": {
    "total": "integer",
    "pending": "integer",
    "running": "integer",
    "completed": "integer",
    "failed": "integer",
    "not_run": "integer",
    "reused": "integer"
  },
  "TaskStrip": {
    "size": "integer",
    "cells": "string"
  },
  "WaitAdvice": {
    "cause": "string",
    "words": "string",
    "since": "number|null",
    "way_out": "string"
  },
  "WorkerFacts": {
    "wanted": "integer",
    "started": "integer",
    "alive": "integer",
    "coming": "ComingWorkers[]",
    "lost": "string",
    "refused": "string"
  }
};
